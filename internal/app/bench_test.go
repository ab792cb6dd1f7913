package app

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

// These benchmarks are for changes to parts of the proxy: the client and Immich do as little as they can. How the whole program
// compares with others is measured in bench.

// cannedImmich returns the URL of an Immich that reads heads, and answers each with the same bytes.
func cannedImmich(b *testing.B, answer []byte) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				buffer := make([]byte, 16<<10)
				for held := 0; ; {
					n, err := conn.Read(buffer[held:])
					if err != nil {
						return
					}
					if held += n; !bytes.HasSuffix(buffer[:held], []byte("\r\n\r\n")) {
						continue
					}
					held = 0
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func openBench(b *testing.B, immich string) *App {
	b.Helper()
	settings := config.Defaults()
	settings.Upstreams = []string{immich}
	settings.Listen = config.Listen{HTTPS: "127.0.0.1:0"}
	settings.HTTP3 = false
	settings.ACME.Storage = b.TempDir()
	settings.Access.Keys = []string{"phone:" + key}
	a, err := Open(settings, slog.New(slog.DiscardHandler), new(slog.LevelVar))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(a.Close)
	b.Cleanup(tuneGC())
	return a
}

// canned is a response with a body of so many bytes.
func canned(size int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: image/webp\r\nContent-Length: %d\r\n"+
		"Cache-Control: private, max-age=86400, no-transform\r\nEtag: \"x\"\r\nDate: Tue, 24 Nov 2026 20:00:00 GMT\r\n\r\n%s", size, strings.Repeat("x", size))
}

const browserHead = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\nAccept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://photos.example.com/photos\r\n" +
	"Cookie: immich_access_token=dGhpcyBpcyBub3QgYSB0b2tlbiBhdCBhbGw; immich_auth_type=password; immich_is_authenticated=true\r\n" +
	"Sec-Fetch-Dest: image\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-origin\r\nX-Access-Key: " + key + "\r\n"

// BenchmarkRequest reports the processor time of everything, client and Immich included.
func BenchmarkRequest(b *testing.B) {
	const size = 1000
	b.Run("HTTP/1.1", func(b *testing.B) {
		a := openBench(b, cannedImmich(b, canned(size)))
		conn, err := tls.Dial("tcp", a.Addr().String(), trusting("http/1.1"))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		reader := bufio.NewReader(conn)
		head := []byte("GET /api/assets/1/thumbnail?size=preview HTTP/1.1\r\nHost: photos.example.com\r\n" + browserHead + "\r\n")
		b.ReportAllocs()
		before := spent(b)
		for b.Loop() {
			if _, err := conn.Write(head); err != nil {
				b.Fatal(err)
			}
			skipResponse(b, reader, size)
		}
		b.ReportMetric(float64((spent(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	})
	b.Run("HTTP/2", func(b *testing.B) {
		a := openBench(b, cannedImmich(b, canned(size)))
		transport := &http.Transport{TLSClientConfig: trusting(), ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		b.ReportAllocs()
		before := spent(b)
		for b.Loop() {
			takeResponse(b, transport, "https://"+a.Addr().String()+"/api/assets/1/thumbnail", size)
		}
		b.ReportMetric(float64((spent(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	})
	b.Run("HTTP/2, many at once", func(b *testing.B) {
		a := openBench(b, cannedImmich(b, canned(size)))
		transport := &http.Transport{TLSClientConfig: trusting(), ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		takeResponse(b, transport, "https://"+a.Addr().String()+"/api/assets/1/thumbnail", size) // so that there is one connection
		b.SetParallelism(8)
		b.ResetTimer()
		before := spent(b)
		b.RunParallel(func(loop *testing.PB) {
			for loop.Next() {
				takeResponse(b, transport, "https://"+a.Addr().String()+"/api/assets/1/thumbnail", size)
			}
		})
		b.ReportMetric(float64((spent(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	})
}

func skipResponse(b *testing.B, reader *bufio.Reader, size int) {
	b.Helper()
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(line) == len("\r\n") {
			break
		}
	}
	if _, err := reader.Discard(size); err != nil {
		b.Fatal(err)
	}
}

func takeResponse(b *testing.B, transport http.RoundTripper, url string, size int64) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("X-Access-Key", key)
	response, err := transport.RoundTrip(request)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, make([]byte, 64<<10))
	if err != nil || n != size {
		b.Fatalf("%d bytes, %v", n, err)
	}
}

// BenchmarkDownload reports the processor time of everything per gigabyte.
func BenchmarkDownload(b *testing.B) {
	const size = 32 << 20
	for protocol, transport := range map[string]*http.Transport{
		"HTTP/1.1": {TLSClientConfig: trusting("http/1.1"), ReadBufferSize: 64 << 10},
		"HTTP/2":   {TLSClientConfig: trusting(), ForceAttemptHTTP2: true},
	} {
		b.Run(protocol, func(b *testing.B) {
			a := openBench(b, cannedImmich(b, canned(size)))
			defer transport.CloseIdleConnections()
			b.SetBytes(size)
			before := spent(b)
			for b.Loop() {
				takeResponse(b, transport, "https://"+a.Addr().String()+"/api/assets/1/original", size)
			}
			b.ReportMetric((spent(b)-before).Seconds()*1e9/size/float64(b.N), "cpu-s/GB")
		})
	}
}

// spent is the processor time of this process.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
