package integration

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// BenchmarkStandaloneAcross100ms sends uploads by HTTP/2 along a way that takes 100 ms there and back, through the
// standalone proxy and, in turns, through a net/http reverse proxy with Go's own windows, which gets less, since it is slower.
func BenchmarkStandaloneAcross100ms(b *testing.B) {
	const size, plainSize = 256 << 20, 32 << 20
	d := startDoor(b)
	_, immich := serveImmich(b)
	ours, plain := "https://"+startRelay(b, d.address), "https://"+startRelay(b, startPlain(b, immich))
	client := speakers(b)["HTTP/2"]
	var oursTook, plainTook time.Duration
	for b.Loop() {
		oursTook += upload(b, client, ours, size)
		b.StopTimer()
		plainTook += upload(b, client, plain, plainSize)
		b.StartTimer()
	}
	speed, plainSpeed := float64(b.N)*size/oursTook.Seconds(), float64(b.N)*plainSize/plainTook.Seconds()
	b.ReportMetric(speed/1e6, "MB/s")
	b.ReportMetric(speed/plainSpeed, "x-default-windows")
}

// startPlain returns the address of a reverse proxy as one writes it in a minute.
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

// upload returns how long it took, on a connection that is there.
func upload(b *testing.B, client *http.Client, url string, size int64) time.Duration {
	b.Helper()
	ping(b, client, url)
	began := time.Now()
	sendUpload(b, client, url+"/api/assets", form(size))
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

// BenchmarkStandaloneFirstByte tells when Immich has the first byte of an upload that is far from its end.
func BenchmarkStandaloneFirstByte(b *testing.B) {
	for protocol, client := range speakers(b) {
		b.Run(protocol, func(b *testing.B) {
			d := startDoor(b)
			var took time.Duration
			for b.Loop() {
				took += firstByte(b, d, client)
			}
			b.ReportMetric(took.Seconds()*1e3/float64(b.N), "ms-to-first-byte")
		})
	}
}

// firstByte sends the beginning of an upload, and the rest once Immich has its first byte.
func firstByte(b *testing.B, d door, client *http.Client) time.Duration {
	b.Helper()
	ping(b, client, d.url(""))
	before := time.Now()
	body, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sendUpload(b, client, d.url("/api/assets"), body)
	}()
	_, _ = io.WriteString(writer, formHead)
	upload, err := d.immich.Await(b.Context(), func(u fakeimmich.Upload) bool { return u.FirstByte.After(before) })
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(writer, io.MultiReader(fakeimmich.Content(1<<20), strings.NewReader(formTail)))
	_ = writer.Close()
	<-ended
	return upload.FirstByte.Sub(before)
}
