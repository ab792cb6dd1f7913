package transfer

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Ledger counts the transfers that run.
type Ledger struct {
	running  atomic.Int64
	sockets  atomic.Int64
	received atomic.Int64
	sent     atomic.Int64
}

// Running is how many requests are being served, WebSockets apart: they have no end to wait for.
func (l *Ledger) Running() int64 { return l.running.Load() }

// Sockets is how many WebSockets are open.
func (l *Ledger) Sockets() int64 { return l.sockets.Load() }

// Received is how many bytes clients have sent, in bodies, so far.
func (l *Ledger) Received() int64 { return l.received.Load() }

// Sent is how many bytes clients were sent, in bodies, so far.
func (l *Ledger) Sent() int64 { return l.sent.Load() }

// Entry is what the ledger knows of a request that has ended.
type Entry struct {
	Request  *http.Request
	Visitor  Visitor
	Status   int // 0: the client was gone before there was an answer
	Received int64
	Sent     int64
	Duration time.Duration
}

// WithLedger counts each request, and reports it when it has ended, however it did.
func WithLedger(ledger *Ledger, report func(Entry), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		body := &countedBody{ReadCloser: r.Body, total: &ledger.received}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = body
		}
		counted := &countedWriter{ResponseWriter: w, ledger: ledger, kind: &ledger.running}
		visitor, r := receive(r)

		ledger.running.Add(1)
		defer func() {
			counted.kind.Add(-1)
			report(Entry{r, *visitor, counted.status, body.count.Load(), counted.count, time.Since(start)})
		}()
		next.ServeHTTP(counted, r)
	})
}

type countedBody struct {
	io.ReadCloser

	count atomic.Int64 // atomic, since a body may be read by others after the answer
	total *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.count.Add(int64(n))
	b.total.Add(int64(n))
	return n, err
}

type countedWriter struct {
	http.ResponseWriter

	status int
	count  int64
	ledger *Ledger
	kind   *atomic.Int64 // where the ledger counts this one
}

func (w *countedWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countedWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.count += int64(n)
	w.ledger.sent.Add(int64(n))
	return n, err
}

// Hijack is how a request becomes a WebSocket.
func (w *countedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
		w.kind.Add(-1)
		w.kind = &w.ledger.sockets
		w.kind.Add(1)
	}
	return conn, buffered, err
}

func (w *countedWriter) Unwrap() http.ResponseWriter {
	return w.ResponseWriter
}
