package handover

import (
	"errors"
	"io"
	"net"
	"testing"
)

func TestConnBeginsWithWhatWasRead(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	go func() {
		_, _ = io.WriteString(client, "rest")
		_ = client.Close()
	}()
	buffer := []byte("two")
	conn := NewConn(server, []byte("one "), buffer, []byte(" "))
	copy(buffer, "xxx")
	if got, err := io.ReadAll(conn); string(got) != "one two rest" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestListener(t *testing.T) {
	t.Parallel()
	l := NewListener(&net.TCPAddr{Port: 443})
	conn, other := net.Pipe()
	_ = other.Close()
	passed := make(chan bool, 1)
	go func() { passed <- l.Pass(conn) }()
	if got, err := l.Accept(); got != conn || err != nil || !<-passed {
		t.Errorf("%v, %v", got, err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if l.Pass(conn) {
		t.Error("a closed listener takes a connection")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if l.Addr().String() != ":443" {
		t.Error(l.Addr())
	}
}
