package dnschallenge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/dnschallenge/fakeroute53"
)

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/certificates-without-an-open-port.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestDocumentationListsTheProviders(t *testing.T) {
	t.Parallel()
	_, listed, _ := strings.Cut(readPage(t), "| `acme.dns.provider` | for | variables |\n|---|---|---|\n")
	listed, _, _ = strings.Cut(listed, "\n\n")
	var want []string
	for _, e := range table {
		want = append(want, fmt.Sprintf("| `%s` | %s | `%s` |", e.name, e.title, strings.Join(e.needed(), "`, `")))
	}
	if text := strings.Join(want, "\n"); text != listed {
		t.Errorf("the page should have\n%s\nbut has\n%s", text, listed)
	}
}

// policy is one of AWS's identity and access management.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Effect    string
	Action    textOrList
	Resource  string
	Condition map[string]map[string]textOrList
}

type textOrList []string

func (l *textOrList) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(l))
	}
	*l = make([]string, 1)
	return json.Unmarshal(text, &(*l)[0])
}

var (
	changedName = regexp.MustCompile(`<Name>(.*?)\.</Name>`)
	changedType = regexp.MustCompile("<Type>(.*?)</Type>")
)

// allows decides on a request to Route 53 as AWS does, as far as that is needed here.
func (p policy) allows(t *testing.T, r *http.Request, body []byte) bool {
	t.Helper()
	action, resource := "ListHostedZonesByName", "*"
	switch id := path.Base(path.Dir(r.URL.Path)); {
	case strings.Contains(r.URL.Path, "/change/"):
		action, resource = "GetChange", "arn:aws:route53:::change/"+path.Base(r.URL.Path)
	case r.Method == http.MethodPost:
		action, resource = "ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/"+id
	case path.Base(r.URL.Path) == "rrset":
		action, resource = "ListResourceRecordSets", "arn:aws:route53:::hostedzone/"+id
	}
	sent := map[string][]string{
		"route53:ChangeResourceRecordSetsNormalizedRecordNames": submatches(changedName, body),
		"route53:ChangeResourceRecordSetsRecordTypes":           submatches(changedType, body),
	}
	return slices.ContainsFunc(p.Statement, func(s statement) bool {
		for operator, keys := range s.Condition {
			for key, allowed := range keys {
				values, known := sent[key]
				if operator != "ForAllValues:StringEquals" || !known {
					t.Errorf("the condition %s %s is not known", operator, key)
				}
				if slices.ContainsFunc(values, func(value string) bool { return !slices.Contains(allowed, value) }) {
					return false
				}
			}
		}
		return s.Effect == "Allow" && slices.Contains(s.Action, "route53:"+action) && (s.Resource == "*" || s.Resource == resource)
	})
}

func submatches(pattern *regexp.Regexp, text []byte) (found []string) {
	for _, match := range pattern.FindAllSubmatch(text, -1) {
		found = append(found, string(match[1]))
	}
	return found
}

// The documented policy allows what the provider does for the documented domains, and nothing else; without any of its statements, something fails.
func TestDocumentedPolicy(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	text := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(readPage(t))[1]
	var documented policy
	if err := json.Unmarshal([]byte(text), &documented); err != nil {
		t.Fatal(err)
	}
	const zone, other = "Z11111112222222333333", "Z2"
	use := func(p policy, domain string) error {
		api := &fakeroute53.Server{Verify: func(r *http.Request, body []byte) *fakeroute53.Failure {
			if p.allows(t, r, body) {
				return nil
			}
			return &fakeroute53.Failure{Status: http.StatusForbidden, Code: "AccessDenied"}
		}}
		api.AddZone(zone, "example.com", false)
		api.AddZone(other, "example.org", false)
		server := httptest.NewServer(api)
		defer server.Close()
		t.Setenv("AWS_ENDPOINT_URL_ROUTE_53", server.URL)
		t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "a-secret-for-the-test")
		provider, err := Open("route53")
		if err != nil {
			t.Fatal(err)
		}
		if err := provider.lego.Present(domain, "", "key"); err != nil {
			return err
		}
		value := api.Sets()[0].Values()[0]
		if err := provider.lego.(inSync).InSync(t.Context(), strings.Trim(value, `"`)); err != nil {
			return err
		}
		return provider.lego.CleanUp(domain, "", "key")
	}
	for _, domain := range []string{"photos.example.com", "home.example.com"} {
		if err := use(documented, domain); err != nil {
			t.Errorf("%s: %v", domain, err)
		}
	}
	for _, domain := range []string{"example.com", "www.example.com", "photos.example.org"} {
		if err := use(documented, domain); err == nil {
			t.Errorf("%s is allowed", domain)
		}
	}
	for i, s := range documented.Statement {
		for _, action := range s.Action {
			less := policy{Statement: slices.Clone(documented.Statement)}
			less.Statement[i].Action = slices.DeleteFunc(slices.Clone(s.Action), func(a string) bool { return a == action })
			if err := use(less, "photos.example.com"); err == nil {
				t.Errorf("%s is not needed", action)
			}
		}
	}
}
