package transfer

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/readiness"
)

// socket is the connection of a request that has become a WebSocket. Data in either direction keeps it open. The request is
// reported when it is closed. It refers to as little as possible of what there was before, since it may be idle for days.
type socket struct {
	net.Conn
	outcome

	below  *readiness.Conn
	idle   time.Duration
	entry  Entry // without what is known only in the end
	body   *requestBody
	start  time.Time
	report func(Entry)
	end    sync.Once

	expires atomic.Int64 // the deadline
}

func newSocket(conn net.Conn, x *exchange) *socket {
	s := &socket{Conn: conn, below: readiness.Of(conn), idle: x.idleTimer.idle, body: x.body, start: x.start, report: x.report}
	s.tracker = x.tracker
	s.cause.Store(x.cause.Load())
	s.entry = Entry{Request: &http.Request{Method: x.request.Method, URL: x.request.URL, Proto: x.request.Proto}, Identity: x.identity, Status: x.status}
	return s
}

// extend is called before each read and write: as long as there are any, none times out. The deadline is a little later than it has
// to be, so that it need not be set each time.
func (s *socket) extend() error {
	const part = 16
	now := time.Now()
	if s.expires.Load() >= now.Add(s.idle).UnixNano() {
		return nil
	}
	expires := now.Add(s.idle + s.idle/part)
	s.expires.Store(expires.UnixNano())
	return s.SetDeadline(expires)
}

func (s *socket) Read(p []byte) (int, error) {
	if err := s.extend(); err != nil {
		return 0, err
	}
	n, err := s.Conn.Read(p)
	return n, s.note(err)
}

func (s *socket) Write(p []byte) (int, error) {
	for written := 0; ; {
		if err := s.extend(); err != nil {
			return written, err
		}
		n, err := s.Conn.Write(p[written:min(written+pieceSize, len(p))])
		written += n
		if err != nil || written == len(p) {
			return written, s.note(err)
		}
	}
}

func (s *socket) note(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.abort(Timeout)
	}
	return err
}

// NoteTimeout records that a WebSocket ends because of a timeout, if err is one of Immich's connection.
func NoteTimeout(conn net.Conn, err error) {
	if s, ok := conn.(*socket); ok {
		_ = s.note(err)
	}
}

// Close also ends the request, once.
func (s *socket) Close() error {
	s.tracker.forget(s)
	err := s.Conn.Close()
	s.end.Do(func() {
		s.report(s.finalEntry())
		s.tracker.sockets.Add(-1)
	})
	return err
}

func (s *socket) finalEntry() Entry {
	e := s.entry
	e.Aborted, e.Duration = s.aborted(), time.Since(s.start)
	if s.body != nil {
		e.Received = s.body.count.Load()
	}
	return e
}

// WriteTo makes io.Copy work without a buffer while the client sends nothing.
func (s *socket) WriteTo(w io.Writer) (int64, error) {
	return Relay(w, s.Conn, func(read func() error) error {
		if err := s.extend(); err != nil {
			return err
		}
		return s.note(s.below.WhenReadable(read))
	})
}

// ReadFrom makes io.Copy work with a small buffer.
func (s *socket) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{r}, make([]byte, socketBuffer))
	return n, s.note(err)
}

// CloseWrite tells the client that nothing more will be sent.
func (s *socket) CloseWrite() error {
	return CloseWrite(s.Conn)
}
