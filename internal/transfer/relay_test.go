package transfer

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/immichaccess/immichaccess/internal/readiness"
)

// stalledWriter has everything wait until it is released.
type stalledWriter struct {
	bytes.Buffer

	began    *sync.WaitGroup
	once     sync.Once
	released chan struct{}
}

func (w *stalledWriter) Write(p []byte) (int, error) {
	w.once.Do(w.began.Done)
	<-w.released
	return w.Buffer.Write(p)
}

// TestStalledRelays has more relays wait for their receivers than there are large buffers. Not parallel, since it counts them.
func TestStalledRelays(t *testing.T) { //nolint:paralleltest // see above
	const count = 2 * maxRelayBuffers
	content := bytes.Repeat([]byte("0123456789"), relayBuffer/5)
	var began, done sync.WaitGroup
	released := make(chan struct{})
	began.Add(count)
	for range count {
		w := &stalledWriter{began: &began, released: released}
		done.Go(func() {
			n, err := Relay(w, struct{ io.Reader }{bytes.NewReader(content)}, func(read func() error) error { return read() })
			if err != nil || n != int64(len(content)) || !bytes.Equal(w.Bytes(), content) {
				t.Errorf("%d bytes arrive, %v", n, err)
			}
		})
	}
	began.Wait()
	if n := relayBuffersInUse.Load(); n != maxRelayBuffers {
		t.Errorf("%d large buffers are in use", n)
	}
	close(released)
	done.Wait()
	if n := relayBuffersInUse.Load(); n != 0 {
		t.Errorf("%d large buffers are not given back", n)
	}
}

// pieces returns one with each Read, and then EOF.
type pieces struct {
	left []string
	errs []error
}

func (p *pieces) Read(buffer []byte) (int, error) {
	if len(p.errs) == 0 {
		return 0, io.EOF
	}
	n, err := copy(buffer, p.left[0]), p.errs[0]
	p.left, p.errs = p.left[1:], p.errs[1:]
	return n, err
}

// TestRelayOfPieces waits again whenever there is nothing, and loses nothing that comes with an error.
func TestRelayOfPieces(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		errs []error // with the pieces a, b and c
		want error
	}{
		"until the end":        {[]error{nil, nil, nil}, nil},
		"which comes with c":   {[]error{nil, nil, io.EOF}, nil},
		"and c is broken":      {[]error{nil, nil, broken}, broken},
		"and more has to come": {[]error{readiness.ErrNotYet, nil, readiness.ErrNotYet}, nil},
	} {
		var got bytes.Buffer
		from := &pieces{[]string{"a", "b", "c"}, c.errs}
		n, err := Relay(&got, from, func(read func() error) error {
			if got.Len() > 0 && len(from.errs) > 0 { // once there is nothing, now and then
				from.left, from.errs = append([]string{""}, from.left...), append([]error{readiness.ErrNotYet}, from.errs...)
				if err := read(); !errors.Is(err, readiness.ErrNotYet) {
					t.Errorf("%s: without anything, read returns %v", name, err)
				}
			}
			return read()
		})
		if n != 3 || got.String() != "abc" || !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v", name, got.String(), err)
		}
	}
}
