package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

func TestRedirect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url  string
		port int
		want string
	}{
		"usual port":  {"http://photos.example.com/photos?a=b", 443, "https://photos.example.com/photos?a=b"},
		"other ports": {"http://photos.example.com:8080/", 8443, "https://photos.example.com:8443/"},
		"IPv6":        {"http://[::1]:80/", 443, "https://[::1]/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := httptest.NewRecorder()
			RedirectTo(c.port).ServeHTTP(answer, httptest.NewRequest(http.MethodPost, c.url, nil))
			if got := answer.Header().Get("Location"); answer.Code != http.StatusPermanentRedirect || got != c.want {
				t.Errorf("%d %s, want %s", answer.Code, got, c.want)
			}
		})
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = systemd.Close() }()
	t.Setenv("NOTIFY_SOCKET", path)
	Notify("READY=1")
	heard := make([]byte, 64)
	if n, err := systemd.Read(heard); err != nil || string(heard[:n]) != "READY=1" {
		t.Errorf("%q, %v", heard[:n], err)
	}
}
