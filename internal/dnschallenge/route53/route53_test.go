package route53

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/dnschallenge/fakeroute53"
)

func TestMain(m *testing.M) {
	if err := os.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true"); err != nil { // nothing here asks a nameserver
		panic(err)
	}
	os.Exit(m.Run())
}

// variables are the environment of a test.
type variables map[string]string

func (v variables) get(name string) string { return v[name] }

// open serves the API, and returns a provider that uses it.
func open(t *testing.T, api http.Handler, more variables) *Provider {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	v := variables{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hidden-secret", "AWS_SESSION_TOKEN": "hidden-token", "AWS_ENDPOINT_URL_ROUTE_53": server.URL}
	for name, value := range more {
		v[name] = value
	}
	p, err := New(v.get)
	if err != nil {
		t.Fatal(err)
	}
	p.firstPause = time.Millisecond
	t.Cleanup(p.http.CloseIdleConnections)
	return p
}

const (
	zoneID = "ZPUBLIC1"
	record = "_acme-challenge.photos.example.com."
)

func newAPI() *fakeroute53.Server {
	api := &fakeroute53.Server{}
	api.AddZone(zoneID, "example.com", false)
	return api
}

// valueFor is what the CA wants to see.
func valueFor(keyAuth string) string {
	digest := sha256.Sum256([]byte(keyAuth))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func wantValues(t *testing.T, api *fakeroute53.Server, want ...string) {
	t.Helper()
	var got []string
	for _, set := range api.Sets() {
		if set.Name != record || set.Type != "TXT" || set.ZoneID != zoneID {
			t.Errorf("there is %+v", set)
		}
		got = append(got, set.Values()...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the values are %v, want %v", got, want)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A wildcard and its parent have a value each in the same record.
func TestTwoValuesOfOneName(t *testing.T) {
	t.Parallel()
	api := newAPI()
	p := open(t, api, nil)
	one, two := quote(valueFor("one")), quote(valueFor("two"))
	noError(t, p.Present("photos.example.com", "", "one"))
	wantValues(t, api, one)
	if ttl := api.Sets()[0].TTL; ttl != 10 {
		t.Errorf("TTL %d", ttl)
	}
	noError(t, p.Present("photos.example.com", "", "two"))
	noError(t, p.Present("photos.example.com", "", "two"))
	wantValues(t, api, one, two)
	noError(t, p.CleanUp("photos.example.com", "", "one"))
	wantValues(t, api, two)
	noError(t, p.CleanUp("photos.example.com", "", "one"))
	noError(t, p.CleanUp("photos.example.com", "", "two"))
	wantValues(t, api)
	noError(t, p.CleanUp("photos.example.com", "", "two"))
}

func TestOtherValuesRemain(t *testing.T) {
	t.Parallel()
	api := newAPI()
	api.Set(zoneID, record, 300, `"of another\040program"`)
	p := open(t, api, variables{"AWS_TTL": "60"})
	noError(t, p.Present("photos.example.com", "", "one"))
	wantValues(t, api, `"of another\040program"`, quote(valueFor("one")))
	noError(t, p.CleanUp("photos.example.com", "", "one"))
	wantValues(t, api, `"of another\040program"`)
	if ttl := api.Sets()[0].TTL; ttl != 300 {
		t.Errorf("TTL %d", ttl)
	}
}

// Another program changes the record between our reading and our writing, once.
func TestChangeByAnotherProgramMeanwhile(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]string{"new record": nil, "more values": {`"a"`}, "fewer values": {`"a"`, `"b"`}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI()
			api.Set(zoneID, record, 10, before...)
			var once sync.Once
			p := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					once.Do(func() { api.Set(zoneID, record, 20, `"theirs"`) })
				}
				api.ServeHTTP(w, r)
			}), nil)
			noError(t, p.Present("photos.example.com", "", "one"))
			wantValues(t, api, `"theirs"`, quote(valueFor("one")))
		})
	}
}

func TestManyAtATime(t *testing.T) {
	t.Parallel()
	api := newAPI()
	var wait sync.WaitGroup
	each := func(do func(p *Provider, keyAuth string) error) {
		for _, keyAuth := range strings.Split("abcdefgh", "") {
			p := open(t, api, nil)
			wait.Go(func() {
				if err := do(p, keyAuth); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	each(func(p *Provider, keyAuth string) error { return p.Present("photos.example.com", "", keyAuth) })
	if sets := api.Sets(); len(sets) != 1 || len(sets[0].Records) != 8 {
		t.Errorf("there are %v", sets)
	}
	each(func(p *Provider, keyAuth string) error { return p.CleanUp("photos.example.com", "", keyAuth) })
	wantValues(t, api)
}

func TestZones(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zones   [][2]string // ID and name; private, if the ID begins with P
		more    variables
		want    string
		failure string
	}{
		"only one":         {[][2]string{{"Z1", "example.com"}}, nil, "Z1", ""},
		"longest name":     {[][2]string{{"Z1", "example.com"}, {"Z2", "photos.example.com"}, {"Z3", "com"}}, nil, "Z2", ""},
		"only the record":  {[][2]string{{"Z1", "example.com"}, {"Z2", "_acme-challenge.photos.example.com"}}, nil, "Z2", ""},
		"similar names":    {[][2]string{{"Z1", "example.com"}, {"Z2", "otos.example.com"}, {"Z3", "a.photos.example.com"}, {"Z4", "ample.com"}}, nil, "Z1", ""},
		"private":          {[][2]string{{"P1", "photos.example.com"}, {"Z2", "example.com"}}, nil, "Z2", ""},
		"many private":     {[][2]string{{"P1", "example.com"}, {"P2", "example.com"}, {"P3", "example.com"}, {"Z4", "example.com"}, {"Z5", "a.example.com"}}, nil, "Z4", ""},
		"wanted private":   {[][2]string{{"P1", "example.com"}, {"Z2", "photos.example.com"}}, variables{"AWS_PRIVATE_ZONE": "true"}, "P1", ""},
		"given":            {[][2]string{{"Z1", "example.com"}, {"Z2", "photos.example.com"}}, variables{"AWS_HOSTED_ZONE_ID": "Z1"}, "Z1", ""},
		"given as by AWS":  {[][2]string{{"Z1", "example.com"}}, variables{"AWS_HOSTED_ZONE_ID": "/hostedzone/Z1"}, "Z1", ""},
		"two of that name": {[][2]string{{"Z1", "example.com"}, {"P3", "example.com"}, {"Z2", "example.com"}}, nil, "", "2 public hosted zones are named example.com: Z1, Z2"},
		"none":             {[][2]string{{"Z1", "example.org"}, {"P2", "example.com"}}, nil, "", "there is no public hosted zone for _acme-challenge.photos.example.com"},
		"given, not there": {nil, variables{"AWS_HOSTED_ZONE_ID": "Z1"}, "", "AWS answered NoSuchHostedZone: No hosted zone found with ID: Z1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &fakeroute53.Server{PageSize: 2}
			for _, zone := range c.zones {
				api.AddZone(zone[0], zone[1], zone[0][0] == 'P')
			}
			err := open(t, api, c.more).Present("photos.example.com", "", "one")
			if c.failure != "" {
				if f, is := errors.AsType[*failure](err); !is || f.Error() != c.failure || f.Check() == "" {
					t.Errorf("the error is %v", err)
				}
				return
			}
			noError(t, err)
			if sets := api.Sets(); len(sets) != 1 || sets[0].ZoneID != c.want {
				t.Errorf("%v", sets)
			}
		})
	}
}

func TestInSync(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more variables
		want string
	}{
		"waits":         {nil, "not on all nameservers of Route 53 yet (PENDING)"},
		"does not wait": {variables{"AWS_WAIT_FOR_RECORD_SETS_CHANGED": "false"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI()
			api.Pending = 1
			p := open(t, api, c.more)
			noError(t, p.Present("photos.example.com", "", "one"))
			if err := p.InSync(t.Context(), valueFor("one")); c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
				t.Errorf("the error is %v", err)
			}
			noError(t, p.InSync(t.Context(), valueFor("one")))
			noError(t, p.InSync(t.Context(), "unknown"))
		})
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	throttling := &fakeroute53.Failure{Status: http.StatusBadRequest, Code: "Throttling", Message: "Rate exceeded"}
	incomplete := &fakeroute53.Failure{Status: http.StatusBadRequest, Code: "PriorRequestNotComplete"}
	broken := &fakeroute53.Failure{Status: http.StatusServiceUnavailable}
	t.Run("for a while", func(t *testing.T) {
		t.Parallel()
		api := newAPI()
		api.FailNext(throttling, nil, nil, nil, incomplete, broken, throttling, incomplete) // the fourth request is the first that finds the zone
		noError(t, open(t, api, nil).Present("photos.example.com", "", "one"))
		wantValues(t, api, quote(valueFor("one")))
	})
	t.Run("for too long", func(t *testing.T) {
		t.Parallel()
		api := newAPI()
		api.FailNext(throttling, throttling, throttling, nil)
		err := open(t, api, variables{"AWS_MAX_RETRIES": "3"}).Present("photos.example.com", "", "one")
		f, is := errors.AsType[*failure](err)
		if !is || f.Error() != "AWS answered Throttling: Rate exceeded" || !strings.Contains(f.Check(), "five requests a second") {
			t.Errorf("the error is %v", err)
		}
		if requests := api.Requests(); len(requests) != 3 {
			t.Errorf("%d requests", len(requests))
		}
	})
	t.Run("while it is in progress", func(t *testing.T) {
		t.Parallel()
		api := newAPI()
		p := open(t, api, variables{"AWS_MAX_RETRIES": "1"})
		noError(t, p.Present("photos.example.com", "", "one"))
		api.FailNext(throttling)
		if err := p.InSync(t.Context(), valueFor("one")); err == nil || hasCode(err, "Throttling") {
			t.Errorf("%v, which would end the wait", err)
		}
		noError(t, p.InSync(t.Context(), valueFor("one")))
	})
}

func TestAnswersThatAreErrors(t *testing.T) {
	t.Parallel()
	const signature = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."
	const keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: "
	for name, c := range map[string]struct {
		failure     fakeroute53.Failure
		text, check string
	}{
		"unknown key":     {fakeroute53.Failure{Status: 403, Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid"}, "AWS answered InvalidClientTokenId: The security token included in the request is invalid", keys + "is the access key active"},
		"wrong secret":    {fakeroute53.Failure{Status: 403, Code: "SignatureDoesNotMatch", Message: signature + "\n\nThe Canonical String for this request should have been\n'GET\nx-amz-security-token:hidden-token'"}, "AWS answered SignatureDoesNotMatch: " + signature, keys + "does the secret belong"},
		"wrong clock":     {fakeroute53.Failure{Status: 403, Code: "SignatureDoesNotMatch", Message: "Signature expired", Date: time.Now().Add(-3 * time.Hour).UTC().Format(http.TimeFormat)}, "AWS answered SignatureDoesNotMatch: Signature expired", "this machine's clock: it differs from that of AWS by 3h0m"},
		"old token":       {fakeroute53.Failure{Status: 403, Code: "ExpiredToken"}, "AWS answered ExpiredToken", keys + "a temporary key has expired"},
		"no permission":   {fakeroute53.Failure{Status: 403, Code: "AccessDenied", Message: "User: arn:aws:iam::111122223333:user/x is not authorized"}, "AWS answered AccessDenied: User: arn:aws:iam::111122223333:user/x is not authorized", "does the IAM policy of the key allow what docs/certificates-without-an-open-port.md lists"},
		"unknown code":    {fakeroute53.Failure{Status: 400, Code: "Other"}, "AWS answered Other", ""},
		"another service": {fakeroute53.Failure{Status: 404}, "AWS answered with status 404 Not Found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI()
			api.FailNext(&c.failure)
			err := open(t, api, nil).Present("photos.example.com", "", "one")
			f, is := errors.AsType[*failure](err)
			if !is || f.Error() != c.text || !strings.HasPrefix(f.Check(), c.check) || c.check == "" && f.Check() != "" {
				t.Errorf("the error is %v; %q", err, f)
			}
		})
	}
}

// In an older form, this one error has an answer of its own.
func TestInvalidChanges(t *testing.T) {
	t.Parallel()
	api := newAPI()
	p := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			api.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`<InvalidChangeBatch xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Messages><Message>a CNAME exists</Message></Messages></InvalidChangeBatch>`))
	}), nil)
	err := p.Present("photos.example.com", "", "one")
	if f, is := errors.AsType[*failure](err); !is || f.Error() != "AWS answered InvalidChangeBatch: a CNAME exists" || f.Check() == "" {
		t.Errorf("the error is %v", err)
	}
}

// A redirect would take the session token elsewhere.
func TestNoRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it got %v", r.Header) }))
	t.Cleanup(elsewhere.Close)
	p := open(t, http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect), nil)
	if err := p.Present("photos.example.com", "", "one"); err == nil || err.Error() != "AWS answered with status 307 Temporary Redirect" {
		t.Errorf("the error is %v", err)
	}
}
