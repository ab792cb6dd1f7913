package dns

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsroute53 "github.com/aws/aws-sdk-go-v2/service/route53"
	smithyauth "github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	legoroute53 "github.com/go-acme/lego/v4/providers/dns/route53"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/dnschallenge/fakeroute53"
	"github.com/immichaccess/immichaccess/internal/dnschallenge/route53"
	"github.com/immichaccess/immichaccess/internal/dnschallenge/sigv4"
)

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// The same requests, signed by AWS's SDK and by us.
func TestSignaturesAgreeWithSDK(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	text := func(alphabet string, most int) string {
		letters := []rune(alphabet)
		var b strings.Builder
		for range random.IntN(most + 1) {
			b.WriteRune(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	const letters, rest = "abcXYZ019", "-_.~ /+=&%?#é😀;:@!$'()*,|\"<>\\"
	escaped := func(most int) (s string) {
		for _, b := range []byte(text(letters+rest, most)) {
			s += fmt.Sprintf("%%%02X", b)
		}
		return s
	}
	for i := range 2000 {
		keys := aws.Credentials{AccessKeyID: "AKID" + text(letters, 16), SecretAccessKey: text(letters+"+/", 40)}
		if random.IntN(2) == 0 {
			keys.SessionToken = "token" + text(letters+"+/=", 200)
		}
		target := "https://" + text(letters, 5) + "h.example.com:8443"
		for range random.IntN(4) {
			target += "/p" + text(letters, 5) + escaped(3)
		}
		for separator, n := "?", random.IntN(5); n > 0; separator, n = "&", n-1 {
			target += fmt.Sprintf("%s%s%d=%s%s", separator, text(letters, 2), n, text(letters+"+", 3), escaped(3))
		}
		body := []byte(text(letters+rest, 60))
		request := func() *http.Request {
			r, err := http.NewRequest([]string{"GET", "POST", "DELETE", "PUT"}[i%4], target, nil)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		theirs, ours := request(), request()
		for range random.IntN(4) {
			name, values := "X-"+text(letters, 5)+"h", []string{text(letters+rest+"  ", 20), text(letters+" ", 9)}[:1+random.IntN(2)]
			theirs.Header[http.CanonicalHeaderKey(name)], ours.Header[http.CanonicalHeaderKey(name)] = values, values
		}
		service, region, at := "s"+text(letters, 8), "us-"+text(letters, 8), time.Unix(random.Int64N(1<<32), 0)
		if err := v4.NewSigner().SignHTTP(context.Background(), keys, theirs, digest(body), service, region, at); err != nil {
			t.Fatal(err)
		}
		sigv4.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken}.Sign(ours, body, service, region, at)
		for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
			if got, want := ours.Header.Get(name), theirs.Header.Get(name); got != want {
				t.Fatalf("seed %d, request %d: %s %s %q\n%s: %s\nthe SDK has %s", seed, i, ours.Method, target, ours.Header, name, got, want)
			}
		}
	}
}

func TestEndpointsAgreeWithSDK(t *testing.T) {
	t.Parallel()
	for _, region := range []string{
		"us-east-1", "us-west-2", "eu-central-1", "eu-west-3", "ap-southeast-2", "sa-east-1", "ca-central-1", "me-south-1", "af-south-1", "il-central-1", "mx-central-1",
		"cn-north-1", "cn-northwest-1", "us-gov-west-1", "us-gov-east-1", "eusc-de-east-1",
	} {
		want, err := awsroute53.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), awsroute53.EndpointParameters{Region: aws.String(region), UseFIPS: aws.Bool(false), UseDualStack: aws.Bool(false)}.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		endpoint, signingRegion := route53.Endpoint(region)
		options, _ := smithyauth.GetAuthOptions(&want.Properties)
		if len(options) != 1 {
			t.Fatalf("%s: %d ways to sign", region, len(options))
		}
		wantRegion, _ := smithyhttp.GetSigV4SigningRegion(&options[0].SignerProperties)
		if endpoint != want.URI.String() || signingRegion != wantRegion {
			t.Errorf("%s: %s, %s, but the SDK has %s, %s", region, endpoint, signingRegion, want.URI.String(), wantRegion)
		}
	}
}

// ignored are variables of lego's that say nothing here: ours come without a configuration file and without roles, of which the first tells.
var ignored = []string{"AWS_SDK_LOAD_CONFIG", "AWS_EXTERNAL_ID"}

func TestRoute53ReadsVariablesOfLego(t *testing.T) {
	t.Parallel()
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-acme/lego/v4").Output()
	if err != nil {
		t.Fatal(err)
	}
	var lego struct {
		Configuration struct{ Credentials, Additional map[string]string }
	}
	if _, err := toml.DecodeFile(filepath.Join(strings.TrimSpace(string(folder)), "providers", "dns", "route53", "route53.toml"), &lego); err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	if _, err := route53.New(func(name string) string { read[name] = true; return "" }); err == nil {
		t.Error("it needs nothing")
	}
	for _, variables := range []map[string]string{lego.Configuration.Credentials, lego.Configuration.Additional} {
		if len(variables) < 5 {
			t.Errorf("only %v", variables)
		}
		for name := range variables {
			if !read[name] && !slices.Contains(ignored, name) {
				t.Errorf("%s is not read", name)
			}
		}
	}
}

// lego's provider and ours leave the same records, and send the same kinds of requests.
func TestRoute53AgreesWithLego(t *testing.T) { // it sets variables, so that no other test runs beside it
	if err := dns01.AddRecursiveNameservers([]string{primary})(nil); err != nil { // lego has read those of the system before run set them
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ before, steps []string }{
		"one value":           {nil, []string{"+a", "-a"}},
		"two values":          {nil, []string{"+a", "+b", "-a", "-b"}},
		"the same twice":      {nil, []string{"+a", "+a", "-a", "-a"}},
		"beside other values": {[]string{`"other"`, `"with \"quotes\" and \303\251"`}, []string{"+a", "+b", "-b", "-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := openAccount(t, c.before, func() (challenge.Provider, error) { return legoroute53.NewDNSProvider() })
			ours := openAccount(t, c.before, func() (challenge.Provider, error) { return route53.New(os.Getenv) })
			for _, step := range c.steps {
				theirs.do(t, step)
				ours.do(t, step)
				if got, want := ours.values(), theirs.values(); !slices.Equal(got, want) {
					t.Errorf("after %s: %q, lego's provider leaves %q", step, got, want)
				}
			}
			if got, want := ours.requests(), theirs.requests(); !slices.Equal(got, want) {
				t.Errorf("requests: %q, lego's provider sends %q", got, want)
			}
		})
	}
}

// account is one of AWS, and a provider that uses it.
type account struct {
	api      *fakeroute53.Server
	provider challenge.Provider
}

func openAccount(t *testing.T, before []string, open func() (challenge.Provider, error)) *account {
	t.Helper()
	a := &account{api: &fakeroute53.Server{Verify: verifySignature}}
	a.api.AddZone("Z1", "route53.test", true)
	a.api.AddZone("Z2", "route53.test", false)
	a.api.AddZone("Z3", "test", false)
	a.api.Set("Z2", "_acme-challenge.route53.test.", 300, before...)
	for _, variable := range route53Environment(harness.Serve(t, &http.Server{Handler: a.api})) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	var err error
	if a.provider, err = open(); err != nil {
		t.Fatal(err)
	}
	return a
}

// do sets ("+") or removes ("-") the value for a key.
func (a *account) do(t *testing.T, step string) {
	t.Helper()
	const domain = "route53.test"
	key := step[1:]
	if step[0] == '-' {
		if err := a.provider.CleanUp(domain, "", key); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := a.provider.Present(domain, "", key); err != nil {
		t.Fatal(err)
	}
	if ours, is := a.provider.(*route53.Provider); is { // which leaves the waiting to its caller
		sum := sha256.Sum256([]byte(key))
		if err := ours.InSync(t.Context(), base64.RawURLEncoding.EncodeToString(sum[:])); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *account) values() (values []string) {
	for _, set := range a.api.Sets() {
		values = append(values, set.ZoneID+" "+set.Name+" "+set.Type)
		values = append(values, set.Values()...)
	}
	return values
}

var particular = regexp.MustCompile(`/[CZ]\d+\b|\?.*`)

// requests are those that were sent, without what is different each time.
func (a *account) requests() []string {
	var kinds []string
	for _, request := range a.api.Requests() {
		kinds = append(kinds, particular.ReplaceAllString(request, ""))
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}
