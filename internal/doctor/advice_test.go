package doctor

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestAdviceIsThatOfTheDocumentation compares the remedies with the lists in docs/doctor.md, which may have backquotes in addition.
func TestAdviceIsThatOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := documentedAdvice(string(page))
	for id := range documented {
		if _, ok := remedies[id]; !ok {
			t.Errorf("docs/doctor.md has advice for %s, and the doctor has none", id)
		}
	}
	for id, all := range remedies {
		if got, want := documented[id], listed(all); !slices.Equal(got, want) {
			t.Errorf("the list in docs/doctor.md for %s should be\n- %s\nbut is\n- %s", id, strings.Join(want, "\n- "), strings.Join(got, "\n- "))
		}
	}
}

// documentedAdvice returns the list of each section with an ID as its heading, without backquotes.
func documentedAdvice(page string) map[string][]string {
	documented := map[string][]string{}
	var id string
	for line := range strings.Lines(page) {
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "`", "")
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			id = heading
		} else if strings.HasPrefix(line, "#") {
			id = ""
		} else if item, ok := strings.CutPrefix(line, "- "); ok && id != "" {
			documented[id] = append(documented[id], item)
		}
	}
	return documented
}

// listed returns an advice as the documentation lists it.
func listed(all advice) []string {
	var list []string
	for _, proxy := range []Proxy{"", Nginx, ProxyManager, Caddy, Traefik, HAProxy, Apache, Cloudflare, ImmichAccess} {
		remedy, ok := all[proxy]
		if !ok {
			continue
		}
		item := remedy.Where + ": " + strings.Join(remedy.Lines, " and ")
		switch rest, named := strings.CutPrefix(item, string(proxy)+", "); {
		case proxy == "":
			item = strings.TrimPrefix(item, "the proxy: ")
		case named:
			item = "**" + string(proxy) + "**, " + rest
		default:
			item = "**" + string(proxy) + "**, " + item
		}
		list = append(list, strings.ReplaceAll(item, "`", ""))
	}
	return list
}
