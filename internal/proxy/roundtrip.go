package proxy

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"time"
)

var errEnded = errors.New("the upstream closed the connection before it answered")

// abandonTime is how long the transport may take to return after Immich has closed the connection.
const abandonTime = 250 * time.Millisecond

// roundTrip returns soon after Immich has closed the connection. The transport alone would first wait for a read of the request
// body, and so for a client that may send nothing for a long time.
func roundTrip(transport http.RoundTripper, r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return transport.RoundTrip(withTrace(r, &httptrace.ClientTrace{Got1xxResponse: cleanInterim}))
	}
	trip := newTrip()
	r = withTrace(r, &httptrace.ClientTrace{Got1xxResponse: cleanInterim, GotConn: trip.gotConn})
	go trip.run(transport, r)
	return trip.wait()
}

func withTrace(r *http.Request, trace *httptrace.ClientTrace) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
}

// cleanInterim is called before ReverseProxy passes an interim response on with all its headers.
func cleanInterim(_ int, header textproto.MIMEHeader) error {
	removeHopByHop(http.Header(header))
	return nil
}

// trip is a RoundTrip that can be abandoned.
type trip struct {
	conns     chan *upstreamConn
	results   chan result
	abandoned chan struct{}
}

type result struct {
	response *http.Response
	err      error
}

func newTrip() *trip {
	return &trip{make(chan *upstreamConn, 1), make(chan result), make(chan struct{})}
}

// gotConn is called once: a request with a body is never repeated by the transport.
func (t *trip) gotConn(info httptrace.GotConnInfo) {
	conn := info.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if upstream, ok := conn.(*upstreamConn); ok {
		select {
		case t.conns <- upstream:
		default:
		}
	}
}

func (t *trip) run(transport http.RoundTripper, r *http.Request) {
	response, err := transport.RoundTrip(r)
	select {
	case t.results <- result{response, err}:
	case <-t.abandoned:
		if err == nil {
			_ = response.Body.Close()
		}
	}
}

func (t *trip) wait() (*http.Response, error) {
	defer close(t.abandoned)
	var conn *upstreamConn
	select {
	case r := <-t.results:
		return r.response, r.err
	case conn = <-t.conns:
	}
	select {
	case r := <-t.results:
		return r.response, r.err
	case <-conn.ended:
	}
	select {
	case r := <-t.results:
		return r.response, r.err
	case <-time.After(abandonTime):
		return nil, errEnded
	}
}
