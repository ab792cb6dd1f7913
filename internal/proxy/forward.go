package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/http1"
	"github.com/immichaccess/immichaccess/internal/semantics"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// forwarder forwards requests without a body, which are most of the requests for photos, and WebSockets: it does what
// httputil.ReverseProxy and http.Transport do for them, in the goroutine of the request and with few allocations. All other
// requests it passes to them.
type forwarder struct {
	pool        *pool
	general     http.Handler // httputil.ReverseProxy
	failures    failures
	buffers     *buffers
	quicBuffers *quicBuffers
	upstream    time.Duration // to begin an answer
	idle        time.Duration
}

// ServeHTTP behaves like ReverseProxy to the client and to Immich, except for the order of headers.
func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isSimple(r) {
		f.general.ServeHTTP(w, r)
		return
	}
	var got reply
	err := f.pool.try(r, func(u *upstream) (err error) {
		got, err = f.ask(u, w, r)
		return err
	})
	switch {
	case err != nil:
		f.failures.answer(w, r, err)
	case got.whole != nil:
		f.passWhole(w, r, got.whole)
	default:
		f.passStream(w, r, got.response)
	}
}

// reply is what Immich has sent.
type reply struct {
	whole    *persistentConn // which has a whole response
	response *http.Response  // any other
}

// passStream sends a response that may not have arrived yet to the client.
func (f *forwarder) passStream(w http.ResponseWriter, r *http.Request, response *http.Response) {
	body, _ := response.Body.(*upstreamBody) // nil without one
	defer func() { _ = response.Body.Close() }()
	if err := check(response); err != nil {
		f.failures.answer(w, r, err)
		return
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		f.switchProtocols(w, response, body)
		return
	}
	removeHopByHop(response.Header)
	if body != nil && !body.complete {
		transfer.WatchResponse(response, f.idle)
	}
	f.pass(w, response, body)
}

// isSimple is true of a GET or HEAD that has neither a body nor special headers for the connection, except those of a WebSocket.
func isSimple(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return r.ContentLength == 0 && (r.Header["Upgrade"] == nil || isPlainUpgrade(r)) && r.Header["Expect"] == nil &&
		http1.IsPlainHost(r.Host) && !hasControl(r.URL.RawQuery)
}

func hasControl(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] == 0x7f {
			return true
		}
	}
	return false
}

// ask sends the request to an upstream. Immich may have closed a reused connection in the meantime; unless it has already
// responded, the request is then sent again.
func (f *forwarder) ask(u *upstream, w http.ResponseWriter, r *http.Request) (reply, error) {
	for conn := u.conns.get(); conn != nil; conn = u.conns.get() {
		got, err := f.exchange(conn, u, w, r)
		if err == nil || conn.answered() || isTimeout(err) || r.Context().Err() != nil {
			return got, err
		}
		if !errors.Is(err, errUnusable) {
			break
		}
	}
	conn, err := u.conns.dial(r.Context())
	if err != nil {
		return reply{}, err
	}
	return f.exchange(conn, u, w, r)
}

// exchange closes the connection if there is no response. A response that is whole or has a body keeps the connection, and so does one
// that switches protocols.
func (f *forwarder) exchange(conn *persistentConn, u *upstream, w http.ResponseWriter, r *http.Request) (reply, error) {
	conn.begin(r.Context())
	got, err := f.roundTrip(conn, u, w, r)
	if err != nil {
		conn.abandon()
		return reply{}, err
	}
	if got.whole != nil {
		return got, nil
	}
	response := got.response
	reusable := !response.Close && response.StatusCode >= http.StatusOK
	if response.Body == http.NoBody && response.StatusCode != http.StatusSwitchingProtocols {
		conn.release(reusable)
		return got, nil
	}
	body := &upstreamBody{ReadCloser: response.Body, conn: conn, reusable: reusable, complete: conn.hasBody(response)}
	response.Body = body
	if !body.complete {
		conn.unlimitAnswer() // the body has an idle timeout
	}
	return got, nil
}

func (f *forwarder) roundTrip(conn *persistentConn, u *upstream, w http.ResponseWriter, r *http.Request) (reply, error) {
	conn.head = appendHead(conn.head[:0], u.url, r)
	if err := conn.limitAnswer(f.upstream); err != nil {
		return reply{}, err
	}
	if err := conn.send(); err != nil {
		return reply{}, err
	}
	defer conn.endHead()
	for {
		conn.limitHead()
		whole, err := conn.readWhole(r.Method)
		if whole {
			return reply{whole: conn}, nil
		}
		if err != nil {
			return reply{}, err
		}
		response, err := http.ReadResponse(conn.reader, r) //nolint:bodyclose // passStream closes it
		if err != nil {
			return reply{}, err
		}
		if !semantics.IsInterim(response.StatusCode) {
			return reply{response: response}, nil
		}
		passInterim(w, response)
	}
}

func passInterim(w http.ResponseWriter, response *http.Response) {
	removeHopByHop(response.Header)
	h := w.Header()
	addHeaders(h, response.Header)
	w.WriteHeader(response.StatusCode)
	for name := range response.Header {
		delete(h, name)
	}
}

// pass sends the response to the client.
func (f *forwarder) pass(w http.ResponseWriter, response *http.Response, body *upstreamBody) {
	h := w.Header()
	addHeaders(h, response.Header)
	announced := len(response.Trailer)
	if announced > 0 {
		names := make([]string, 0, announced)
		for name := range response.Trailer {
			names = append(names, name)
		}
		h.Add("Trailer", strings.Join(names, ", "))
	}
	doNotGuessType(h)
	w.WriteHeader(response.StatusCode)
	if body != nil && f.copyBody(w, response, body.mayWait(response.ContentLength)) != nil {
		breakOff(response.Request)
		return
	}
	passTrailers(w, response.Trailer, announced)
}

// doNotGuessType keeps net/http from doing so.
func doNotGuessType(h http.Header) {
	if _, given := h["Content-Type"]; !given {
		h["Content-Type"] = nil
	}
}

// copyBody flushes what has arrived if more is to come.
func (f *forwarder) copyBody(w http.ResponseWriter, response *http.Response, flush bool) error {
	flusher := http.NewResponseController(w)
	buffer := f.buffers.Get()
	defer func() { f.quicBuffers.Put(buffer) }()
	for {
		if flush {
			if err := flusher.Flush(); err != nil {
				return err
			}
		}
		n, err := response.Body.Read(buffer)
		if n > 0 {
			var err error
			if buffer, err = f.writePiece(w, response.Request, buffer, n); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			_ = flusher.Flush() // the client gets what has arrived
			return err
		}
		flush = true
	}
}

// writePiece writes what is in the buffer, and returns the one for the next piece.
func (f *forwarder) writePiece(w http.ResponseWriter, r *http.Request, buffer []byte, n int) (next []byte, err error) {
	if r.ProtoMajor != 3 {
		_, err = w.Write(buffer[:n])
		return buffer, err
	}
	began := time.Now()
	if _, err = w.Write(buffer[:n]); err != nil {
		return buffer, err
	}
	return f.quicBuffers.next(buffer, n == len(buffer), time.Since(began)), nil
}

// breakOff ends the client's response so that it does not look complete.
func breakOff(r *http.Request) {
	if r.Context().Value(http.ServerContextKey) != nil { // as ReverseProxy does: only a server handles it
		panic(http.ErrAbortHandler)
	}
}

// passTrailers sends the trailers that were announced, and those that were not.
func passTrailers(w http.ResponseWriter, trailers http.Header, announced int) {
	if len(trailers) == 0 {
		return
	}
	_ = http.NewResponseController(w).Flush() // else a short response gets a length, and no trailers
	if len(trailers) == announced {
		addHeaders(w.Header(), trailers)
		return
	}
	for name, values := range trailers {
		for _, value := range values {
			w.Header().Add(http.TrailerPrefix+name, value)
		}
	}
}

func addHeaders(to, from http.Header) {
	for name, values := range from {
		if present := to[name]; present != nil {
			values = append(present[:len(present):len(present)], values...)
		}
		to[name] = values
	}
}
