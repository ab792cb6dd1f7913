package standalone

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// BenchmarkStandaloneAcross100ms sends uploads with a round trip of 100 ms, through the standalone proxy and, with HTTP/2, in
// turns through a net/http reverse proxy with Go's default flow control windows, which gets smaller uploads, since it is slower.
func BenchmarkStandaloneAcross100ms(b *testing.B) {
	const size, smallSize = 256 << 20, 32 << 20
	b.Run(harness.HTTP2, func(b *testing.B) {
		p := startOpenProxy(b)
		_, immich := harness.ServeImmich(b)
		ours, plain := "https://"+startRelay(b, p.address), "https://"+startRelay(b, startPlain(b, immich))
		client := harness.Client(b, harness.HTTP2)
		var oursTook, plainTook time.Duration
		for b.Loop() {
			oursTook += upload(b, client, ours, size)
			b.StopTimer()
			plainTook += upload(b, client, plain, smallSize)
			b.StartTimer()
		}
		speed, plainSpeed := float64(b.N)*size/oursTook.Seconds(), float64(b.N)*smallSize/plainTook.Seconds()
		b.ReportMetric(speed/1e6, "MB/s")
		b.ReportMetric(speed/plainSpeed, "x-default-windows")
	})
	b.Run(harness.HTTP3, func(b *testing.B) {
		url := "https://" + startDatagramRelay(b, startOpenProxy(b).address)
		client := harness.Client(b, harness.HTTP3)
		var took time.Duration
		for b.Loop() {
			took += upload(b, client, url, size)
		}
		b.ReportMetric(float64(b.N)*size/took.Seconds()/1e6, "MB/s")
	})
}

// startPlain returns the address of a reverse proxy with the defaults of the standard library.
func startPlain(b *testing.B, immich string) string {
	b.Helper()
	target, err := url.Parse(immich)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
	server.EnableHTTP2 = true
	server.StartTLS()
	b.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// upload returns how long the upload took, on a connection that is already open.
func upload(b *testing.B, client *http.Client, url string, size int64) time.Duration {
	b.Helper()
	ping(b, client, url)
	began := time.Now()
	harness.Upload(b, client, url+"/api/assets", form(size))
	return time.Since(began)
}

func ping(b *testing.B, client *http.Client, url string) {
	b.Helper()
	response, err := client.Get(url + "/api/server/ping")
	if err != nil {
		b.Fatal(err)
	}
	response.Body.Close()
}

// BenchmarkStandaloneFirstByte measures when Immich has the first byte of an upload that is not complete.
func BenchmarkStandaloneFirstByte(b *testing.B) {
	for protocol, client := range harness.Clients(b) {
		b.Run(protocol, func(b *testing.B) {
			p := startOpenProxy(b)
			var took time.Duration
			for b.Loop() {
				took += firstByte(b, p, client)
			}
			b.ReportMetric(took.Seconds()*1e3/float64(b.N), "ms-to-first-byte")
		})
	}
}

// firstByte sends the beginning of an upload, and the rest once Immich has its first byte.
func firstByte(b *testing.B, p proxy, client *http.Client) time.Duration {
	b.Helper()
	ping(b, client, p.url(""))
	before := time.Now()
	body, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		harness.Upload(b, client, p.url("/api/assets"), body)
	}()
	_, _ = io.WriteString(writer, harness.FormHead("a.mp4"))
	upload, err := p.immich.Await(b.Context(), func(u fakeimmich.Upload) bool { return u.FirstByte.After(before) })
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(writer, io.MultiReader(fakeimmich.Content(1<<20), strings.NewReader(harness.FormTail)))
	_ = writer.Close()
	<-ended
	return upload.FirstByte.Sub(before)
}
