package dnschallenge

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestDocumentationListsTheProviders(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/certificates-without-an-open-port.md")
	if err != nil {
		t.Fatal(err)
	}
	_, listed, _ := strings.Cut(string(page), "| `acme.dns.provider` | for | variables |\n|---|---|---|\n")
	listed, _, _ = strings.Cut(listed, "\n\n")
	var want []string
	for _, e := range table {
		want = append(want, fmt.Sprintf("| `%s` | %s | `%s` |", e.name, e.title, strings.Join(e.needed(), "`, `")))
	}
	if text := strings.Join(want, "\n"); text != listed {
		t.Errorf("the page should have\n%s\nbut has\n%s", text, listed)
	}
}
