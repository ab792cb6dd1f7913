package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	userAgent = "immichaccess-doctor"
	// bodyLimit is how much of a response the doctor reads.
	bodyLimit = 256 << 10
)

// clients use one version of HTTP each. None verifies the certificate, which has its own test; without a valid one, the key is
// not sent.
type clients struct {
	http1  *http.Client
	newest *http.Client // HTTP/2 where the server offers it
	http3  *http.Client
	quic   *http3.Transport

	quicPort string // of HTTP/3, as announced
}

func newClients(t target) *clients {
	transport := &http3.Transport{TLSClientConfig: unchecked(t)}
	c := &clients{
		http1:  newClient(&http.Transport{TLSClientConfig: unchecked(t, "http/1.1"), DisableCompression: true}),
		newest: newClient(&http.Transport{TLSClientConfig: unchecked(t), DisableCompression: true, ForceAttemptHTTP2: true}),
		http3:  newClient(transport),
		quic:   transport,

		quicPort: t.port,
	}
	transport.Dial = func(ctx context.Context, _ string, tlsConfig *tls.Config, config *quic.Config) (*quic.Conn, error) {
		return quic.DialAddrEarly(ctx, net.JoinHostPort(t.host, c.quicPort), tlsConfig, config)
	}
	return c
}

func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *clients) close() {
	c.http1.CloseIdleConnections()
	c.newest.CloseIdleConnections()
	_ = c.quic.Close()
}

func unchecked(t target, protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: t.host, NextProtos: protocols} //nolint:gosec // see clients
}

// answer is a response, or why there is none.
type answer struct {
	err    error
	status int
	proto  string
	header http.Header
	body   []byte // its beginning
}

// ask sends a request with the newest version of HTTP.
func (e *examination) ask(ctx context.Context, method, path string, header http.Header, body string) *answer {
	return e.askWith(ctx, e.clients.newest, method, path, header, body)
}

func (e *examination) askWith(ctx context.Context, client *http.Client, method, path string, header http.Header, body string) *answer {
	return e.askURL(ctx, client, method, e.target.origin()+path, header, strings.NewReader(body))
}

func (e *examination) askURL(ctx context.Context, client *http.Client, method, url string, header http.Header, body io.Reader) *answer {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	return e.exchange(ctx, client, method, url, header, body)
}

// exchange may take as long as ctx lasts.
func (e *examination) exchange(ctx context.Context, client *http.Client, method, url string, header http.Header, body io.Reader) *answer {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return &answer{err: err}
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", userAgent)
	response, err := client.Do(request)
	if err != nil {
		return &answer{err: err}
	}
	defer response.Body.Close()
	return e.read(response)
}

// read takes a body of known length without the end of the stream: a server that answers before it has all of a request may hold
// that back, or reset the stream, and an answer that is complete counts all the same (RFC 9113, section 8.1).
func (e *examination) read(response *http.Response) *answer {
	limit := int64(bodyLimit)
	if response.ContentLength >= 0 {
		limit = min(limit, response.ContentLength)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	a := &answer{err: err, status: response.StatusCode, proto: response.Proto, header: response.Header, body: body}
	e.traces.note(a)
	return a
}

// dial opens a connection for writing HTTP/1.1 directly.
func (e *examination) dial(ctx context.Context) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: patient}
	address := net.JoinHostPort(e.target.host, e.target.port)
	if !e.target.isTLS() {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: unchecked(e.target, "http/1.1")}).DialContext(ctx, "tcp", address)
}

// head is the beginning of a POST of HTTP/1.1, with the key.
func (e *examination) head(path string, header http.Header) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", path, e.target.authority(), userAgent)
	_ = e.withKey(header).Write(&text) // a buffer returns no error
	text.WriteString("\r\n")
	return text.Bytes()
}

// receive reads one response, which may be an interim one.
func (e *examination) receive(conn net.Conn, within time.Duration) *answer {
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return &answer{err: err}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return &answer{err: err}
	}
	defer response.Body.Close()
	if response.StatusCode < http.StatusOK {
		return &answer{status: response.StatusCode, header: response.Header}
	}
	return e.read(response)
}

// isPong reports whether it is Immich's response to a ping.
func (a *answer) isPong() bool {
	var pong struct{ Res string }
	return a.err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &pong) == nil && pong.Res == "pong"
}

// isImmich reports whether Immich itself responded: its errors are JSON with a message, and mostly have a correlation ID; its
// successful responses to an app are anything but a page.
func (a *answer) isImmich() bool {
	if a.err != nil {
		return false
	}
	if a.header.Get("X-Immich-Cid") != "" {
		return true
	}
	switch a.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound:
		return a.message() != ""
	}
	return a.status >= 200 && a.status < 300 && !a.isHTML()
}

// message returns the message of an error of Immich's.
func (a *answer) message() string {
	var text struct{ Message any }
	if json.Unmarshal(a.body, &text) != nil || text.Message == nil {
		return ""
	}
	return fmt.Sprint(text.Message)
}

func (a *answer) isHTML() bool {
	return strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
}

// isUnavailable reports whether a proxy says that it can't reach Immich.
func (a *answer) isUnavailable() bool {
	return a.err == nil && a.status >= 500 && !a.isImmich()
}

func (a *answer) isRedirect() bool {
	return a.err == nil && a.status >= 300 && a.status < 400 && a.status != http.StatusNotModified
}

// isLike reports whether two responses are the same refusal.
func (a *answer) isLike(other *answer) bool {
	if other == nil || a.err != nil || a.status != other.status {
		return false
	}
	return bytes.Equal(a.body, other.body) || a.isHTML() && other.isHTML()
}

// String describes the response in a few words.
func (a *answer) String() string {
	switch {
	case a.err != nil:
		return inWords(a.err)
	case a.status == 0:
		return "nothing"
	case a.isRedirect():
		return fmt.Sprintf("%s, to %s", statusLine(a.status), a.header.Get("Location"))
	case a.message() != "":
		return fmt.Sprintf("%s (%s)", statusLine(a.status), shorten(a.message(), 80))
	case a.isHTML():
		return fmt.Sprintf("%s, a web page%s", statusLine(a.status), a.pageTitle())
	default:
		return statusLine(a.status)
	}
}

func (a *answer) pageTitle() string {
	_, rest, found := strings.Cut(string(a.body), "<title>")
	title, _, closed := strings.Cut(rest, "</title>")
	if !found || !closed || strings.TrimSpace(title) == "" || strings.Contains(title, http.StatusText(a.status)) {
		return ""
	}
	return fmt.Sprintf(" (%s)", shorten(strings.TrimSpace(title), 40))
}

func statusLine(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

func shorten(text string, length int) string {
	runes := []rune(text)
	if len(runes) <= length {
		return text
	}
	return string(runes[:length-1]) + "…"
}
