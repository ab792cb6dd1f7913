package app

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/conformance"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/quic-go/quic-go/http3"
	"github.com/traefik/paerser/types"
)

func onlyPlain(s *config.Settings) {
	s.Listen = config.Listen{Plain: "127.0.0.1:0", HTTP: ":80"} // which is not opened, since it has nothing to do
}

// TestPromisesOnPlain runs the conformance tests on listen.plain.
func TestPromisesOnPlain(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Proxy{Open: func(t *testing.T, options conformance.Options) conformance.Gateway {
		t.Helper()
		a := open(t, func(s *config.Settings) {
			onlyPlain(s)
			s.Access.Keys = nil
			options.Apply(t, reflect.ValueOf(&s.Access).Elem())
		})
		return conformance.Gateway{Addr: a.Addr().String(), Host: "photos.example.com", Immich: a.immich}
	}})
}

func TestPlainWithoutTrustedProxiesWarns(t *testing.T) {
	t.Parallel()
	const warning = "listen.plain without access.trustedProxies"
	if a := open(t, onlyPlain); strings.Count(a.log.String(), warning) != 1 {
		t.Errorf("the log says\n%s", a.log)
	}
	if a := open(t, func(s *config.Settings) { onlyPlain(s); s.Access.TrustedProxies = []string{"loopback"} }); strings.Contains(a.log.String(), warning) {
		t.Errorf("the log says\n%s", a.log)
	}
}

// TestPlainAnswersForItsDomainsOnly expects no certificate to be ordered, since no listener would use it.
func TestPlainAnswersForItsDomainsOnly(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		onlyPlain(s)
		s.Domains, s.ACME.Server = []string{"photos.example.com"}, "https://127.0.0.1:1/directory"
	})
	for host, want := range map[string]int{"photos.example.com": http.StatusOK, "other.example.com": http.StatusMisdirectedRequest} {
		request := newRequest(t, http.MethodGet, "http://"+a.Addr().String()+"/", nil)
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %s, want %d", host, response.Status, want)
		}
	}
	if strings.Contains(a.log.String(), "127.0.0.1:1") || strings.Contains(a.log.String(), "certificate") {
		t.Errorf("the log says\n%s", a.log)
	}
}

func withKeyless(s *config.Settings) { s.Listen.Keyless = "127.0.0.1:0" }

// without sends a request without a key.
func without(t *testing.T, client *http.Client, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	request := newRequest(t, http.MethodGet, url, nil)
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// TestKeyless wants listen.keyless to need no key and the other listener to need one, over each protocol.
func TestKeyless(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		withKeyless(s)
		s.Log.Access, s.Admin.Address = true, ":0"
		s.Access.BrowserLogin, s.Access.MaxUploadSize, s.Access.KeyNameHeader = true, "1k", "X-Key-Name"
	})
	keyless := "https://" + a.listeners.Keyless.Addr().String()
	for protocol, transport := range protocols {
		client := &http.Client{Transport: transport(t), Timeout: patience}
		browser := http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}
		if response, body := without(t, client, a.url("/photos"), browser); response.StatusCode != http.StatusForbidden || !strings.Contains(body, "<form") {
			t.Errorf("%s with keys: %s\n%s", protocol, response.Status, body)
		}
		spoofed := browser.Clone()
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "X_forwarded_for", "X-Key-Name"} {
			spoofed.Set(name, "192.0.2.66")
		}
		spoofed.Set("X-Access-Key", key)
		response, body := without(t, client, keyless+"/photos", spoofed)
		if response.StatusCode != http.StatusOK || strings.Contains(body, "192.0.2.66") || strings.Contains(body, key) || !strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s without keys: %s\n%s", protocol, response.Status, body)
		}
		if _, body := without(t, client, keyless+"/.immichaccess", http.Header{}); strings.Contains(body, "<form") {
			t.Errorf("%s: there is a login page\n%s", protocol, body)
		}
		if status, _ := send(t, client, http.MethodPost, keyless+"/api/assets", strings.NewReader(strings.Repeat("x", 2000))); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: an upload over the limit: %d", protocol, status)
		}
	}
	a.log.Await(t, `aborted="" listener=https`)
	a.log.Await(t, `aborted="" listener=keyless`)
	_, shown := get(t, http.DefaultClient, "http://"+a.AdminAddr().String()+"/metrics")
	for _, line := range []string{
		`immichaccess_requests_total{status="200",key="",listener="keyless"} 6`, `immichaccess_requests_total{status="413",key="",listener="keyless"} 3`,
		`immichaccess_requests_total{status="403",key="",listener="https"} 3`,
	} {
		if !strings.Contains(shown, line) {
			t.Errorf("there is no %s in\n%s", line, shown)
		}
	}
}

// TestKeylessIsReloaded changes options of both listeners, and then sets invalid ones.
func TestKeylessIsReloaded(t *testing.T) {
	t.Parallel()
	a := open(t, withKeyless)
	client := &http.Client{Transport: protocols["HTTP/2"](t), Timeout: patience}
	keyless := "https://" + a.listeners.Keyless.Addr().String()
	tooLarge := func() int {
		t.Helper()
		status, _ := send(t, client, http.MethodPost, keyless+"/", strings.NewReader(strings.Repeat("x", 2000)))
		return status
	}
	reload := func(change func(*config.Settings)) {
		changed := *a.settings
		change(&changed)
		a.Reload(func() (*config.Loaded, error) { return &config.Loaded{Settings: changed}, nil })
	}
	if status := tooLarge(); status != http.StatusOK {
		t.Errorf("before: %d", status)
	}
	reload(func(s *config.Settings) { s.Access.MaxUploadSize = "1k" })
	if status := tooLarge(); status != http.StatusRequestEntityTooLarge {
		t.Errorf("after the reload: %d", status)
	}
	reload(func(s *config.Settings) { s.Access.MaxUploadSize, s.Access.Keys = "2k", nil }) // with a listener that needs keys
	if status := tooLarge(); status != http.StatusRequestEntityTooLarge {
		t.Errorf("after a reload that failed: %d", status)
	}
	if response, _ := without(t, client, a.url("/"), http.Header{}); response.StatusCode != http.StatusForbidden {
		t.Errorf("with keys: %s", response.Status)
	}
}

// TestHSTS wants the header on every response, ours and Immich's, once, and where the client uses HTTPS.
func TestHSTS(t *testing.T) {
	t.Parallel()
	const header, want = "Strict-Transport-Security", "max-age=31536000"
	a := open(t, func(s *config.Settings) {
		withKeyless(s)
		s.TLS.HSTS, s.Listen.Plain = types.Duration(365*24*time.Hour), "127.0.0.1:0"
		s.Domains, s.TLS.CertFile = nil, ""
		s.Access.TrustedProxies = []string{"127.0.0.1"}
	})
	for protocol, transport := range protocols {
		client := &http.Client{Transport: transport(t), Timeout: patience}
		for url, status := range map[string]int{
			a.url("/api/server/ping"): http.StatusForbidden,
			"https://" + a.listeners.Keyless.Addr().String() + "/api/server/ping":    http.StatusOK,
			"https://" + a.listeners.Keyless.Addr().String() + "/api/server/interim": http.StatusOK, // after a response that is not the last
		} {
			response, _ := without(t, client, url, http.Header{})
			if got := response.Header.Values(header); len(got) != 1 || got[0] != want || response.StatusCode != status {
				t.Errorf("%s %s: %s, %q", protocol, url, response.Status, got)
			}
		}
	}
	plain := "http://" + a.listeners.Plain.Addr().String() + "/api/server/ping"
	for proto, want := range map[string]string{"https": want, "WSS": want, "http": "", "": "", "https,http": ""} {
		response, _ := without(t, http.DefaultClient, plain, http.Header{"X-Forwarded-Proto": {proto}})
		if got := response.Header.Get(header); got != want {
			t.Errorf("X-Forwarded-Proto %q: %q", proto, got)
		}
	}
	changed := *a.settings
	changed.Access.TrustedProxies = []string{"192.0.2.1"}
	a.Reload(func() (*config.Loaded, error) { return &config.Loaded{Settings: changed}, nil })
	if response, _ := without(t, http.DefaultClient, plain, http.Header{"X-Forwarded-Proto": {"https"}}); response.Header.Get(header) != "" {
		t.Errorf("whoever is not trusted gets %q", response.Header)
	}

	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	request := newRequest(t, http.MethodGet, a.url("/api/socket.io/?transport=websocket&EIO=4"), nil)
	for name, values := range upgrade {
		request.Header[name] = values
	}
	response, err := protocols["HTTP/1.1"](t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get(header) != want {
		t.Errorf("%s, %q", response.Status, response.Header)
	}
}

func TestNoHSTSByDefault(t *testing.T) {
	t.Parallel()
	a := open(t, unchanged)
	client := &http.Client{Transport: protocols["HTTP/1.1"](t), Timeout: patience}
	if response, _ := without(t, client, a.url("/"), http.Header{}); response.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("%q", response.Header)
	}
}

// TestNoRedirectToKeyless expects no redirect if listen.keyless is the only listener with TLS.
func TestNoRedirectToKeyless(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		s.Listen = config.Listen{Plain: "127.0.0.1:0", Keyless: "127.0.0.1:0", HTTP: "127.0.0.1:0"}
	})
	response, err := http.Get("http://" + a.listeners.HTTP.Addr().String() + "/photos")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("%s, %q", response.Status, response.Header)
	}
	client := &http3.Transport{TLSClientConfig: trusting()}
	t.Cleanup(func() { _ = client.Close() })
	if status, _ := get(t, &http.Client{Transport: client, Timeout: patience}, "https://"+a.listeners.Keyless.Addr().String()+"/"); status != http.StatusOK {
		t.Errorf("keyless: %d", status)
	}
}

// TestRefusalsOnPlainReachAClientThatSends is about responses that a reset would lose.
func TestRefusalsOnPlainReachAClientThatSends(t *testing.T) {
	t.Parallel()
	a := open(t, onlyPlain)
	for range 5 {
		request := newRequest(t, http.MethodPost, "http://"+a.Addr().String()+"/api/assets", io.LimitReader(endless{}, 64<<20))
		request.Header.Del("X-Access-Key")
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Error(response.Status)
		}
	}
	if n := len(a.immich.Uploads()); n != 0 {
		t.Errorf("%d uploads have reached Immich", n)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestUploadStreamsByPlainHTTP2 sends the rest of an upload once Immich has its beginning.
func TestUploadStreamsByPlainHTTP2(t *testing.T) {
	t.Parallel()
	a := open(t, onlyPlain)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	body, sending := io.Pipe()
	request := newRequest(t, http.MethodPost, "http://"+a.Addr().String()+"/api/assets", body)
	request.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	ended := make(chan error, 1)
	go func() {
		response, err := transport.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode != http.StatusCreated || response.ProtoMajor != 2 {
				err = errors.New(response.Proto + " " + response.Status)
			}
		}
		ended <- err
	}()
	_, _ = io.WriteString(sending, "--x\r\nContent-Disposition: form-data; name=\"assetData\"; filename=\"a.jpg\"\r\n\r\na pho")
	a.await(t, func(u fakeimmich.Upload) bool { return u.Bytes > 0 && !u.Complete })
	_, _ = io.WriteString(sending, "to\r\n--x--\r\n")
	_ = sending.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	a.await(t, func(u fakeimmich.Upload) bool { return u.Complete && u.Size == int64(len("a photo")) })
}
