package http2

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkServers compares this server with net/http's, both with net/http's client.
func BenchmarkServers(b *testing.B) {
	small, large := make([]byte, 1000), make([]byte, 64<<10)
	for name, c := range map[string]struct {
		size   int64
		method string
		body   int64 // of the request
		answer http.HandlerFunc
	}{
		"request": {1000, http.MethodGet, 0, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(small) }},
		"download": {64 << 20, http.MethodGet, 0, func(w http.ResponseWriter, _ *http.Request) {
			for range 64 << 20 / len(large) {
				_, _ = w.Write(large)
			}
		}},
		"upload": {64 << 20, http.MethodPost, 64 << 20, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }},
	} {
		for server, address := range map[string]string{"ours": serve(b, c.answer).address, "net.http": serveNetHTTP(b, c.answer)} {
			b.Run(name+"/"+server, func(b *testing.B) {
				client := newClient(b)
				b.SetBytes(c.size)
				b.ReportAllocs()
				for b.Loop() {
					exchangeOnce(b, client, c.method, "http://"+address, c.body)
				}
			})
		}
	}
}

func exchangeOnce(b *testing.B, client *http.Client, method, url string, body int64) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, url, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	if body > 0 {
		r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, body)), body
	}
	response, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
