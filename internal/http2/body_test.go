package http2

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/flowcontrol"
)

// TestChunksBelongToOneBody has the connection store a frame while the body fails, and is read to its end.
func TestChunksBelongToOneBody(t *testing.T) {
	t.Parallel()
	c := &conn{uploads: flowcontrol.NewHTTP2().Share()}
	c.out.close(errDisconnected) // so that nothing is written
	for name, end := range map[string]func(b *body){
		"deadline": func(b *body) { b.setDeadline(time.Unix(1, 0)) },
		"end":      func(b *body) { b.end(nil) },
		"failure":  func(b *body) { b.fail(errReset) },
	} {
		for range 100 {
			s := &stream{conn: c, request: &http.Request{}}
			b, other := newBody(s, -1, false), newBody(nil, -1, false)
			s.body = b
			storing := b.room(chunkSize)
			b.arrived(chunkSize / 2)
			end(b)
			_, _ = io.Copy(io.Discard, b)
			if room := other.room(chunkSize); &room[0] == &storing[0] {
				t.Fatalf("%s: the frame is stored in another body", name)
			}
		}
	}
}
