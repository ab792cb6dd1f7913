package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/immichaccess/immichaccess/internal/http1"
	"github.com/immichaccess/immichaccess/internal/readiness"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// upgradeType is the protocol to switch to (RFC 9110, section 7.8), empty without one.
func upgradeType(h http.Header) string {
	if protocols := h["Upgrade"]; len(protocols) > 0 && connectionNames(h["Connection"]).has("Upgrade") {
		return protocols[0]
	}
	return ""
}

// isPlainUpgrade is true of a request of HTTP/1 for a protocol whose name can be sent as it is.
func isPlainUpgrade(r *http.Request) bool {
	protocol := upgradeType(r.Header)
	return r.ProtoMajor == 1 && protocol != "" && http1.IsVisible(protocol, ' ')
}

// checkSwitch refuses a switch that was not asked for, and one that HTTP does not have (RFC 9110, section 7.8). ReverseProxy would leave
// the connection open.
func checkSwitch(r *http.Response) error {
	asked, got := upgradeType(r.Request.Header), upgradeType(r.Header)
	switch {
	case !r.ProtoAtLeast(1, 1) || !r.Request.ProtoAtLeast(1, 1):
		return fmt.Errorf("%w: it switches protocols over HTTP/1.0", errNotHTTP)
	case r.Request.Method == http.MethodHead:
		return fmt.Errorf("%w: it switches protocols in response to HEAD", errNotHTTP)
	case asked == "":
		return fmt.Errorf("%w: it switches protocols without being asked", errNotHTTP)
	case !http1.IsVisible(got, ' ') || !strings.EqualFold(asked, got):
		return fmt.Errorf("%w: it switches to the protocol %q instead of %q", errNotHTTP, got, asked)
	}
	return nil
}

// switchProtocols passes the response on. Then the connections are no longer HTTP, and two goroutines of their own pass on all that is
// sent on them: what an idle WebSocket keeps in memory is little more than these and TLS.
func (f *forwarder) switchProtocols(w http.ResponseWriter, response *http.Response, body *upstreamBody) {
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		f.failures.answer(w, response.Request, err)
		return
	}
	upstream, fromUpstream := body.takeConn()
	fromClient, _ := buffered.Peek(buffered.Reader.Buffered()) // can't fail
	t := &tunnel{client: client, upstream: upstream}
	if _, err := client.Write(append(switchHead(w, response), fromUpstream...)); err != nil {
		transfer.Abort(response.Request.Context(), transfer.Client)
		t.close()
		return
	}
	if _, err := upstream.Write(fromClient); err != nil {
		t.close()
		return
	}
	go t.pass(t.upstream, t.client)
	go t.pass(t.client, t.upstream)
}

// switchHead is what ReverseProxy writes.
func switchHead(w http.ResponseWriter, response *http.Response) []byte {
	passed := *response
	passed.Header, passed.Body = w.Header(), nil
	addHeaders(passed.Header, response.Header)
	var head bytes.Buffer
	_ = passed.Write(&head) // can't fail
	return head.Bytes()
}

// takeConn returns the connection, which is no longer closed with the body, and what Immich has sent after the head.
func (b *upstreamBody) takeConn() (conn switchedConn, sent []byte) {
	b.once.Do(func() {})
	b.conn.hook.Remove()
	b.conn.unlimitAnswer()
	sent, _ = b.conn.reader.Peek(b.conn.reader.Buffered()) // can't fail
	return switchedConn{b.conn.upstreamConn}, sent
}

// switchedConn is a connection to Immich that is no longer HTTP.
type switchedConn struct {
	*upstreamConn
}

// WriteTo makes io.Copy work without a buffer while Immich sends nothing.
func (c switchedConn) WriteTo(w io.Writer) (int64, error) {
	ready := readiness.Of(c.Conn)
	return transfer.Relay(w, c, func(read func() error) error {
		c.limitRead()
		return ready.WhenReadable(read)
	})
}

// tunnel is what a request becomes when Immich switches protocols.
type tunnel struct {
	client, upstream net.Conn
	halves           atomic.Int32 // that have ended
}

// pass copies from one side to the other. When both have ended what they send, or anything fails, the tunnel is closed.
func (t *tunnel) pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err == nil {
		err = transfer.CloseWrite(to)
	}
	transfer.NoteTimeout(t.client, err)
	const both = 2
	if t.halves.Add(1) == both || err != nil {
		t.close()
	}
}

func (t *tunnel) close() {
	_ = t.client.Close()
	_ = t.upstream.Close()
}
