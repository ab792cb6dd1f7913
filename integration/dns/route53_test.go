package dns

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/dnschallenge/fakeroute53"
)

// awsKey is the only one that the API knows.
var awsKey = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "c2VjcmV0LW9mLXRoZS1BV1MtdXNlcg/+", SessionToken: "dG9rZW4tb2YtdGhlLUFXUy11c2Vy"}

// newRoute53 imitates Route 53 with the zone route53.test, and checks signatures with AWS's own code.
func newRoute53() *fakeroute53.Server {
	api := &fakeroute53.Server{Verify: verifySignature}
	api.AddZone("Z1", "test", false)
	api.AddZone("Z2", "route53.test", true)
	api.AddZone("Z3", "route53.test", false)
	api.Set("Z3", "_acme-challenge.route53.test.", 5, `"of-another-program"`)
	return api
}

// startRoute53 returns the URL of such an API.
func startRoute53(t *testing.T) string {
	t.Helper()
	return harness.Serve(t, &http.Server{Handler: newRoute53()})
}

func route53Environment(endpoint string, more ...string) []string {
	return append([]string{
		"AWS_ENDPOINT_URL_ROUTE_53=" + endpoint, "AWS_REGION=us-east-1", "AWS_POLLING_INTERVAL=1",
		"AWS_ACCESS_KEY_ID=" + awsKey.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + awsKey.SecretAccessKey, "AWS_SESSION_TOKEN=" + awsKey.SessionToken,
	}, more...)
}

// verifySignature has the SDK sign the headers that the client says it has signed.
func verifySignature(r *http.Request, body []byte) *fakeroute53.Failure {
	const denied = http.StatusForbidden
	authorization := r.Header.Get("Authorization")
	if !strings.HasPrefix(authorization, "AWS4-HMAC-SHA256 Credential="+awsKey.AccessKeyID+"/") || r.Header.Get("X-Amz-Security-Token") != awsKey.SessionToken {
		return &fakeroute53.Failure{Status: denied, Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid"}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return &fakeroute53.Failure{Status: denied, Code: "SignatureDoesNotMatch", Message: "Signature expired"}
	}
	expected := r.Clone(context.Background())
	expected.URL.Host, expected.Header, expected.ContentLength = r.Host, http.Header{}, 0
	_, rest, _ := strings.Cut(authorization, "SignedHeaders=")
	signed, _, _ := strings.Cut(rest, ",")
	for name := range strings.SplitSeq(signed, ";") {
		switch name {
		case "host":
		case "content-length":
			expected.ContentLength = r.ContentLength
		default:
			expected.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), awsKey, expected, digest(body), "route53", "us-east-1", at); err != nil {
		panic(err)
	}
	if expected.Header.Get("Authorization") != authorization {
		return &fakeroute53.Failure{Status: denied, Code: "SignatureDoesNotMatch", Message: "The request signature we calculated does not match\n\nThe Canonical String " + awsKey.SessionToken}
	}
	return nil
}

// publish has BIND serve a record set.
func publish(t *testing.T, set fakeroute53.RecordSet) {
	commands := fmt.Sprintf("server %s\nzone route53.test.\nupdate delete %s TXT\n", primary, set.Name)
	for _, value := range set.Values() {
		commands += fmt.Sprintf("update add %s %d TXT %s\n", set.Name, set.TTL, value)
	}
	nsupdate := exec.Command("nsupdate", "-y", "hmac-sha256:"+keyName+":"+keySecret)
	nsupdate.Stdin = strings.NewReader(commands + "send\n")
	if output, err := nsupdate.CombinedOutput(); err != nil {
		t.Errorf("nsupdate: %v: %s", err, output)
	}
}

// A wildcard and its parent have values in the same record, at the same time: no change is in sync before both are there.
func TestWildcardByRoute53(t *testing.T) {
	t.Parallel()
	api := newRoute53()
	var both atomic.Bool
	api.Pending = 1
	api.Apply = func(set fakeroute53.RecordSet) {
		publish(t, set)
		if len(set.Records) == 3 {
			both.Store(true)
		}
	}
	api.Verify = func(r *http.Request, body []byte) *fakeroute53.Failure {
		if strings.Contains(r.URL.Path, "/change/") && !both.Load() {
			return &fakeroute53.Failure{Status: http.StatusBadRequest, Code: "Throttling", Message: "Rate exceeded"}
		}
		return verifySignature(r, body)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(awsKey.SecretAccessKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := route53Environment(harness.Serve(t, &http.Server{Handler: api}), "AWS_SECRET_ACCESS_KEY=", "AWS_SECRET_ACCESS_KEY_FILE="+secret)
	p := startCA(t, nil).startProxy(t, environ, "--domains=*.route53.test,route53.test", "--acme.dns.provider=route53", "--log.level=debug")
	if wildcard := p.awaitCertificate(t, "photos.route53.test"); wildcard.Equal(p.awaitCertificate(t, "route53.test")) {
		t.Error("both names have the same certificate")
	}
	harness.Await(t, "what is left of the record", func() bool {
		records, _ := at(primary).LookupTXT(t.Context(), "_acme-challenge.route53.test.")
		return len(records) == 1 && records[0] == "of-another-program"
	})
	if line := first(p.Log.String(), "waiting for a DNS record to show"); line == "" {
		t.Error("the log does not say that it waits")
	}
	for _, secret := range []string{awsKey.SecretAccessKey, awsKey.SessionToken} {
		if strings.Contains(p.Log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

// A change that AWS does not get to its nameservers ends like a record that does not show.
func TestRoute53StaysPending(t *testing.T) {
	t.Parallel()
	api := newRoute53()
	api.Pending = 1 << 30
	p := startCA(t, nil).startProxy(t, route53Environment(harness.Serve(t, &http.Server{Handler: api}), "AWS_PROPAGATION_TIMEOUT=3"),
		"--domains=photos.route53.test", "--acme.dns.provider=route53")
	p.wantFailure(t, awsKey.SecretAccessKey, "the DNS record does not show after 3s", "AWS_PROPAGATION_TIMEOUT", "not on all nameservers of Route 53 yet (PENDING)")
	harness.Await(t, "the record to be removed", func() bool { return len(api.Sets()) == 1 })
}

// Without permission to ask for a change, there is nothing to wait for.
func TestRoute53DeniesGetChange(t *testing.T) {
	t.Parallel()
	api := newRoute53()
	api.Verify = func(r *http.Request, body []byte) *fakeroute53.Failure {
		if strings.Contains(r.URL.Path, "/change/") {
			return &fakeroute53.Failure{Status: http.StatusForbidden, Code: "AccessDenied", Message: "not authorized to perform: route53:GetChange"}
		}
		return verifySignature(r, body)
	}
	p := startCA(t, nil).startProxy(t, route53Environment(harness.Serve(t, &http.Server{Handler: api})), "--domains=photos.route53.test", "--acme.dns.provider=route53")
	p.wantFailure(t, awsKey.SecretAccessKey, "route53 does not tell whether its nameservers have the record", "route53:GetChange", "does the IAM policy of the key allow")
	harness.Await(t, "the record to be removed", func() bool { return len(api.Sets()) == 1 })
}
