package fakeimmich

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const readAhead = 64 << 10

// Upload describes an upload that is running or has ended.
type Upload struct {
	Path     string
	Filename string
	Checksum string // of the asset, SHA-1 in hex; known at the end, or from the start when Early

	Bytes int64 // of the whole body, as received so far
	Size  int64 // of the asset inside the body; known at the end, and 0 when Early

	Complete bool // the body has arrived, to its last byte
	Early    bool // answered from the checksum header, before the body

	FirstByte time.Time // when the body began to arrive; zero until then
	End       time.Time // zero while the upload runs
	Err       string    // why it is not complete
}

// Uploads returns all uploads as they are now, in the order of their arrival.
func (s *Server) Uploads() []Upload {
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()

	return slices.Clone(s.uploads.entries)
}

// Await returns the first upload that matches, as soon as there is one. A running upload shows up with its headers, and
// changes with every byte. The log is locked while match looks at it, so match must not call the server.
func (s *Server) Await(ctx context.Context, match func(Upload) bool) (Upload, error) {
	for {
		upload, found, changed := s.uploads.find(match)
		if found {
			return upload, nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return Upload{}, ctx.Err()
		}
	}
}

type uploadLog struct {
	mu      sync.Mutex
	entries []Upload      // guarded by mu
	changed chan struct{} // guarded by mu; closed with the next change, nil while no call waits for one
}

// recorder writes one entry of the log.
type recorder struct {
	log   *uploadLog
	index int
}

// record begins an entry, and from then on counts the body into it.
func (l *uploadLog) record(r *http.Request) recorder {
	l.mu.Lock()
	rec := recorder{log: l, index: len(l.entries)}
	l.entries = append(l.entries, Upload{Path: r.URL.Path})
	l.announce()
	l.mu.Unlock()

	counted := &countedBody{ReadCloser: r.Body, count: rec.received}
	// Reading ahead saves a system call for each of mime/multipart's small reads. Replacing the body also keeps
	// net/http from closing the connection when a request with Expect: 100-continue is answered before its end.
	r.Body = struct {
		io.Reader
		io.Closer
	}{bufio.NewReaderSize(counted, readAhead), counted}

	return rec
}

func (l *uploadLog) find(match func(Upload) bool) (upload Upload, found bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if i := slices.IndexFunc(l.entries, match); i >= 0 {
		return l.entries[i], true, nil
	}

	if l.changed == nil {
		l.changed = make(chan struct{})
	}

	return Upload{}, false, l.changed
}

// announce wakes the calls that wait for a change; mu is held.
func (l *uploadLog) announce() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (rec recorder) update(apply func(*Upload)) {
	rec.log.mu.Lock()
	defer rec.log.mu.Unlock()

	apply(&rec.log.entries[rec.index])
	rec.log.announce()
}

func (rec recorder) received(n int) {
	rec.update(func(u *Upload) {
		if u.FirstByte.IsZero() {
			u.FirstByte = time.Now()
		}
		u.Bytes += int64(n)
	})
}

func (rec recorder) end(err error) {
	rec.update(func(u *Upload) {
		u.End = time.Now()
		u.Complete = err == nil
		if err != nil {
			u.Err = err.Error()
		}
	})
}

type countedBody struct {
	io.ReadCloser
	count func(n int)
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.count(n)
	}

	return n, err
}
