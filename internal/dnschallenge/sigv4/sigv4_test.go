package sigv4

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// documented are the credentials and the time of AWS's documentation and of its test suite.
var (
	documented   = Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	documentedAt = time.Date(2015, time.August, 30, 12, 36, 0, 0, time.UTC)
)

// The first is the example of AWS's documentation, the others are from its test suite, under their names there.
func TestVectorsOfAWS(t *testing.T) {
	t.Parallel()
	const suite = "https://example.amazonaws.com/"
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for _, c := range []struct {
		name, service, method, url string
		header                     http.Header
		body                       string
		signed, signature          string
	}{
		{"ListUsers", "iam", "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, "", "content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
		{"get-vanilla", "service", "GET", suite, nil, "", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla without a path", "service", "GET", strings.TrimSuffix(suite, "/"), nil, "", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post-vanilla", "service", "POST", suite, nil, "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"get-vanilla-query-order-key-case", "service", "GET", suite + "?Param2=value2&Param1=value1", nil, "", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-header-value-trim", "service", "GET", suite, http.Header{"My-Header1": {" value1"}, "My-Header2": {` "a   b   c"`}}, "", "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-x-www-form-urlencoded", "service", "POST", suite, form, "Param1=value1", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequest(c.method, c.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range c.header {
				r.Header[name] = values
			}
			documented.Sign(r, []byte(c.body), c.service, "us-east-1", documentedAt)
			want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" + c.service + "/aws4_request, SignedHeaders=" + c.signed + ", Signature=" + c.signature
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if date := r.Header.Get("X-Amz-Date"); date != "20150830T123600Z" {
				t.Errorf("X-Amz-Date: %s", date)
			}
		})
	}
}
