package fakeimmich

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page.html
var pageSource string

//go:embed page.js
var pageScript string

var page = template.Must(template.New("page").Parse(pageSource))

// Arrival is a request as it reached the server, and the default response.
type Arrival struct {
	Method     string      `json:"method"`
	URI        string      `json:"uri"` // as it was on the wire
	Host       string      `json:"host"`
	RemoteAddr string      `json:"remoteAddr"`
	Proto      string      `json:"proto"`
	Headers    http.Header `json:"headers"`
}

func showRequest(w http.ResponseWriter, r *http.Request) {
	if discardBody(r) != nil {
		return
	}

	arrival := Arrival{
		Method:     r.Method,
		URI:        r.RequestURI,
		Host:       r.Host,
		RemoteAddr: r.RemoteAddr,
		Proto:      r.Proto,
		Headers:    r.Header,
	}

	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		writePage(w, arrival)
		return
	}

	writeJSON(w, http.StatusOK, arrival)
}

func writePage(w http.ResponseWriter, arrival Arrival) {
	var html bytes.Buffer
	if err := page.Execute(&html, arrival); err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}

	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // as Immich's pages have it
	_, _ = html.WriteTo(w)
}

// serveScript serves a script at a path of Immich's own.
func serveScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = strings.NewReader(pageScript).WriteTo(w)
}
