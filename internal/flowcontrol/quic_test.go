package flowcontrol

import (
	"context"
	"crypto/tls"
	"log/slog"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/certs"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/quic-go/quic-go"
)

// TestGrowthOfWindowsIsReturned has one connection after another, each of which takes all of the growth.
func TestGrowthOfWindowsIsReturned(t *testing.T) {
	t.Parallel()
	windows := newQUIC(100)
	address := listenQUIC(t)
	for range 3 {
		conn, err := quic.DialAddr(t.Context(), address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"test"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		windows.Follow(conn)
		for deadline := time.Now().Add(patience); !windows.MayGrow(conn, 100); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the window of the connection before is not returned")
			}
		}
		if windows.MayGrow(conn, 1) {
			t.Error("more than there is")
		}
		_ = conn.CloseWithError(0, "")
	}
}

// listenQUIC accepts connections, and returns its address.
func listenQUIC(t *testing.T) string {
	t.Helper()
	source, err := certs.Open(t.Context(), config.Defaults(), certs.Ports{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	certificate := source.TLS.Clone()
	certificate.NextProtos = []string{"test"}
	listener, err := quic.ListenAddr("127.0.0.1:0", certificate, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			if _, err := listener.Accept(context.Background()); err != nil {
				return
			}
		}
	}()
	return listener.Addr().String()
}
