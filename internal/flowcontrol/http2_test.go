package flowcontrol

import (
	"testing"
	"time"
)

const patience = 20 * time.Second

func TestLimitIsShared(t *testing.T) {
	t.Parallel()
	b := newHTTP2(100, 10)
	first, second := b.Share(), b.Share()
	first.Take(111)
	second.Take(10)
	second.Take(0) // it holds no more than it may

	waited := make(chan struct{})
	go func() {
		first.Take(5)
		close(waited)
	}()
	select {
	case <-waited:
		t.Error("the limit is not kept")
	case <-time.After(10 * time.Millisecond):
	}
	first.Give(1)
	<-waited
	first.Give(115)
	if b.held != 0 || first.held != 0 {
		t.Errorf("%d are held, %d of them by one connection", b.held, first.held)
	}
}

// TestClosedConnectionHoldsNothing closes a connection for which another waits, and which waits itself.
func TestClosedConnectionHoldsNothing(t *testing.T) {
	t.Parallel()
	b := newHTTP2(100, 10)
	full, other := b.Share(), b.Share()
	full.Take(200)
	other.Take(50)
	waited := make(chan struct{}, 2)
	for _, s := range []*Share{full, other} {
		go func() {
			s.Take(0)
			waited <- struct{}{}
		}()
	}
	full.Release()
	full.Take(200) // what was being stored
	for range 2 {
		select {
		case <-waited:
		case <-time.After(patience):
			t.Fatal("a connection waits for what no other holds")
		}
	}
	if b.held != 40 {
		t.Errorf("%d are held", b.held)
	}
}
