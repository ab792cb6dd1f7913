package server

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// RedirectTo redirects clients of plain HTTP to HTTPS on that port. The Location is absolute, as Immich's app requires, and 308
// keeps the method.
func RedirectTo(port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		if host == "" {
			http.Error(w, "HTTPS is needed, and a Host header to say where", http.StatusBadRequest)
			return
		}
		authority := strings.TrimSuffix(net.JoinHostPort(host, strconv.Itoa(port)), ":443")
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "https://"+authority+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}
