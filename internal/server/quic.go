package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/flowcontrol"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	// quicHeadCost is what a request stream with an incomplete head counts. It takes less than half of that, but a closed
	// connection frees its memory only after a while.
	quicHeadCost = 128 << 10
	// crowdedStreams is how many requests a new connection may have in progress while unfinished ones take much memory. Receiving
	// half a request costs more than sending it, so closing such connections is not enough.
	crowdedStreams = 8
	// maxUniStreams allows some more than the three that HTTP/3 uses.
	maxUniStreams = 8
	// quicClosingTime is how long clients have, when the server stops, to receive what was sent last.
	quicClosingTime = time.Second
	// quicPacketSize is the least that QUIC allows. A path of 1,280 bytes, such as Tailscale's, has no room for quic-go's 1,280 and
	// their headers, so that no handshake would end. Packets become larger if the path has room.
	quicPacketSize = 1200
)

// quicServer serves HTTP/3. It accepts streams itself instead of leaving that to http3.Server, which keeps a request without a
// complete head for as long as its connection lasts.
type quicServer struct {
	http3       http3.Server
	tls         *tls.Config
	config      *quic.Config
	limiter     *connLimiter
	handshakes  *handshakes
	received    *receiveQueue
	headTimeout time.Duration
	keepAlive   time.Duration

	mu        sync.Mutex
	transport *quic.Transport
	listener  *quic.Listener
	conns     map[*quicConn]struct{}
	stopping  bool
	served    sync.WaitGroup // connections
}

// newQUIC returns the HTTP/3 side of an HTTPS server.
func newQUIC(shared *common, certificates *tls.Config, https *http.Server, handler http.Handler) *quicServer {
	timeouts, windows := shared.timeouts, shared.windows
	s := &quicServer{
		tls:         http3.ConfigureTLSConfig(withProtocols(certificates)),
		limiter:     shared.limiter,
		handshakes:  shared.handshakes,
		received:    newReceiveQueue(),
		headTimeout: time.Duration(timeouts.Header),
		keepAlive:   time.Duration(timeouts.KeepAlive),
		conns:       map[*quicConn]struct{}{},
	}
	s.config = &quic.Config{
		// A whole handshake may take twice as long.
		HandshakeIdleTimeout:           time.Duration(timeouts.Header) / 2,
		MaxIdleTimeout:                 time.Duration(timeouts.KeepAlive),
		InitialStreamReceiveWindow:     flowcontrol.QUICWindow,
		InitialConnectionReceiveWindow: flowcontrol.QUICWindow,
		MaxStreamReceiveWindow:         flowcontrol.UploadWindow,
		MaxConnectionReceiveWindow:     flowcontrol.UploadWindow,
		AllowConnectionWindowIncrease:  windows.MayGrow,
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          maxUniStreams,
		InitialPacketSize:              quicPacketSize,
	}
	s.config.GetConfigForClient = s.configFor
	s.http3 = http3.Server{
		Handler: withHeadDone(handler),
		// ReverseProxy aborts a response, instead of ending it as if it were complete, only if there is a server in the context.
		ConnContext: func(ctx context.Context, conn *quic.Conn) context.Context {
			windows.Follow(conn)
			return context.WithValue(ctx, http.ServerContextKey, https)
		},
		MaxHeaderBytes: maxHead,
	}
	return s
}

// configFor gives a new connection less while there are many unfinished requests.
func (s *quicServer) configFor(client *quic.ClientInfo) (*quic.Config, error) {
	c := s.config.Clone()
	if s.handshakes.areMany(client.RemoteAddr) {
		c.HandshakeIdleTimeout = min(c.HandshakeIdleTimeout, crowdedIdleTimeout)
	}
	if s.limiter.isCrowded() {
		c.MaxIncomingStreams = crowdedStreams
	}
	return c, nil
}

// serve accepts connections whose handshake is complete. Their first requests come no earlier, and unfinished handshakes cost
// less this way.
func (s *quicServer) serve(conn net.PacketConn) error {
	listener, err := s.listen(conn)
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept(context.Background())
		switch {
		case errors.Is(err, quic.ErrServerClosed):
			return http.ErrServerClosed
		case err != nil:
			return err
		}
		if c := s.open(conn); c != nil {
			go c.serve()
		}
	}
}

func (s *quicServer) listen(conn net.PacketConn) (*quic.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, http.ErrServerClosed
	}
	s.transport = &quic.Transport{Conn: receiveMerged(conn, s.received), ConnContext: s.admit, VerifySourceAddress: s.handshakes.areMany}
	var err error
	s.listener, err = s.transport.Listen(s.tls, s.config)
	return s.listener, err
}

type trackedKey struct{}

var errTooManyConnections = errors.New("too many connections")

// admit is called before anything is allocated for a connection. The context ends with it.
func (s *quicServer) admit(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
	handshake := s.handshakes.begin(client.RemoteAddr)
	if handshake == nil {
		return nil, errTooManyConnections
	}
	tracked := s.limiter.admit(client.RemoteAddr, nil)
	if tracked == nil {
		handshake.end()
		return nil, errTooManyConnections
	}
	tracked.keepAlive = s.keepAlive // not http3's IdleTimeout, whose timer keeps a closed connection in memory
	context.AfterFunc(ctx, func() {
		handshake.end()
		tracked.release()
	})
	ctx = context.WithValue(ctx, connKey{}, tracked)
	return context.WithValue(ctx, trackedKey{}, &admitted{tracked: tracked, handshake: handshake}), nil
}

type admitted struct {
	tracked   *trackedConn
	handshake *handshake
	conn      *quicConn // when the handshake is complete
}

// open returns nil if the server is stopping.
func (s *quicServer) open(conn *quic.Conn) *quicConn {
	admitted := conn.Context().Value(trackedKey{}).(*admitted)
	admitted.handshake.end()
	s.received.follow(conn)
	c := &quicConn{server: s, conn: conn, tracked: admitted.tracked, heads: map[quic.StreamID]*quic.Stream{}}
	admitted.conn = c
	admitted.tracked.evictable(func() { c.end(http3.ErrCodeExcessiveLoad) })

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		go c.end(http3.ErrCodeNoError)
		return nil
	}
	s.conns[c] = struct{}{}
	s.served.Add(1)
	return c
}

func (s *quicServer) forget(c *quicConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.served.Done()
}

// stop makes the server accept no more connections, and returns the existing ones.
func (s *quicServer) stop() []*quicConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.listener != nil {
		_ = s.listener.Close()
	}
	open := make([]*quicConn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	return open
}

// shutdown lets running requests finish. New ones are rejected with the code that makes clients send them elsewhere.
func (s *quicServer) shutdown(ctx context.Context) error {
	for _, c := range s.stop() {
		c.stop()
	}
	done := make(chan struct{})
	go func() {
		s.served.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends everything immediately.
func (s *quicServer) close() {
	var ended sync.WaitGroup
	for _, c := range s.stop() {
		ended.Go(func() { c.end(http3.ErrCodeNoError) })
	}
	ended.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.transport != nil {
		_ = s.transport.Close()
	}
}

// quicConn is a connection of HTTP/3.
type quicConn struct {
	server  *quicServer
	conn    *quic.Conn
	tracked *trackedConn

	mu       sync.Mutex
	heads    map[quic.StreamID]*quic.Stream // requests whose head is not complete
	running  int                            // requests, those included
	asked    bool
	stopping bool
}

func (c *quicConn) serve() {
	defer c.server.forget(c)
	first := time.AfterFunc(c.server.headTimeout, c.endUnlessAsked)
	defer first.Stop()
	raw, err := c.server.http3.NewRawServerConn(c.conn)
	if err != nil {
		c.end(http3.ErrCodeInternalError)
		return
	}
	go c.acceptUniStreams(raw)
	var requests sync.WaitGroup
	defer requests.Wait()
	for {
		stream, err := c.conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		if !c.begin(stream) {
			stream.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestRejected))
			stream.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestRejected))
			continue
		}
		requests.Go(func() {
			defer c.finish(stream.StreamID())
			raw.HandleRequestStream(stream)
		})
	}
}

func (c *quicConn) acceptUniStreams(raw *http3.RawServerConn) {
	for {
		stream, err := c.conn.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		go raw.HandleUnidirectionalStream(stream)
	}
}

// begin returns false if no more requests are accepted.
func (c *quicConn) begin(stream *quic.Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping || c.tracked.isGone() { // being closed, which takes a moment
		return false
	}
	_ = stream.SetReadDeadline(time.Now().Add(c.server.headTimeout))
	c.heads[stream.StreamID()] = stream
	c.running++
	c.tell()
	return true
}

// withHeadDone notifies the connection of each complete head.
func withHeadDone(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(trackedKey{}).(*admitted).conn
		stream := c.headDone(r.Body.(interface{ StreamID() quic.StreamID }).StreamID())
		if r.ContentLength <= 0 && hasEnded(stream) {
			r.Body, r.ContentLength = http.NoBody, 0
		} else {
			r.Body = newQUICBody(c, stream, r)
		}
		next.ServeHTTP(w, r)
	})
}

// hasEnded reports whether it is known that nothing follows a head, as most clients say with the head itself. It does not wait.
func hasEnded(stream *quic.Stream) bool {
	var next [1]byte
	_ = stream.SetReadDeadline(time.Unix(1, 0))
	_, err := stream.Peek(next[:])
	_ = stream.SetReadDeadline(time.Time{})
	return errors.Is(err, io.EOF)
}

func (c *quicConn) headDone(id quic.StreamID) *quic.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	stream := c.heads[id]
	_ = stream.SetReadDeadline(time.Time{})
	delete(c.heads, id)
	if !c.asked {
		c.asked = true
		c.tracked.HasAsked()
	}
	c.tell()
	return stream
}

func (c *quicConn) finish(id quic.StreamID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.heads, id)
	c.running--
	c.tell()
	c.endWhenDone()
}

// tell updates the limiter; mu is held.
func (c *quicConn) tell() {
	c.tracked.Pending(int64(len(c.heads)) * quicHeadCost)
	c.tracked.Serving(c.running > len(c.heads))
}

func (c *quicConn) endUnlessAsked() {
	c.mu.Lock()
	asked := c.asked
	c.mu.Unlock()
	if !asked {
		c.end(http3.ErrCodeNoError)
	}
}

func (c *quicConn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	c.endWhenDone()
}

// endWhenDone waits a little, since closing drops what is in transit; mu is held.
func (c *quicConn) endWhenDone() {
	if c.stopping && c.running == 0 {
		time.AfterFunc(quicClosingTime, func() { c.end(http3.ErrCodeNoError) })
	}
}

func (c *quicConn) end(code http3.ErrCode) {
	_ = c.conn.CloseWithError(quic.ApplicationErrorCode(code), "")
}
