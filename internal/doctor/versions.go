package doctor

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

const (
	areaHTTP   = "HTTP"
	quicWithin = 5 * time.Second
	// HTTP/3 that is not announced is mostly not there, and then no packet says so.
	unannouncedWithin = 1500 * time.Millisecond
)

// checkVersions sends a request with each version of HTTP. The responses may be refusals: the key is not sent yet.
func (e *examination) checkVersions(ctx context.Context) {
	old := e.askWith(ctx, e.clients.http1, http.MethodGet, "/api/server/ping", nil, "")
	if !e.target.isTLS() {
		e.judgeNoAnswer(old)
		return
	}
	newer := e.ask(ctx, http.MethodGet, "/api/server/ping", nil, "")
	if old.err != nil && newer.err != nil {
		e.judgeNoAnswer(old) // whose errors say more
		return
	}

	spoken := e.judgeTCPVersions(old, newer)
	e.announcesH3, e.clients.quicPort = announcedQUIC(old.altSvc()+", "+newer.altSvc(), e.target.port)
	if e.judgeQUIC(ctx) {
		spoken = append(spoken, "3")
	}
	e.passed("http-versions", areaHTTP, "HTTP/"+strings.Join(spoken, ", "))
}

func (e *examination) judgeNoAnswer(a *answer) {
	if a.err == nil {
		return
	}
	e.failedStep = true
	if a.wantsCertificate() {
		e.add(certificateNeeded(a))
		return
	}
	e.add(Finding{
		ID: "no-answer", Level: Problem, Area: areaHTTP,
		Title:  "Connections are accepted, but requests are not answered",
		Seen:   a.String(),
		Breaks: "The app can't reach the server.",
	})
}

func (e *examination) judgeTCPVersions(old, newer *answer) (spoken []string) {
	if old.err == nil {
		spoken = append(spoken, "1.1")
	} else {
		e.add(Finding{
			ID: "http1-missing", Level: Problem, Area: areaHTTP,
			Title:  "HTTP/1.1 is not supported",
			Seen:   old.String(),
			Breaks: "WebSockets need it: the app says that the server is offline, and nothing updates by itself.",
		})
	}
	switch {
	case newer.err != nil:
		e.add(Finding{
			ID: "http2-broken", Level: Problem, Area: areaHTTP,
			Title:  "HTTP/2 is offered, and does not work",
			Seen:   newer.String(),
			Breaks: "Phones and browsers use it wherever it is offered, so nothing works.",
		})
	case newer.proto == "HTTP/2.0":
		spoken = append(spoken, "2")
	default:
		e.add(Finding{
			ID: "http2-missing", Level: Warning, Area: areaHTTP,
			Title:  "HTTP/2 is not offered",
			Seen:   newer.proto + " is all there is over TCP",
			Breaks: "The timeline loads its thumbnails slowly: with HTTP/1.1, a browser asks for six at a time.",
		})
	}
	return spoken
}

// judgeQUIC tries HTTP/3, even if it is not announced, and reports whether it works.
func (e *examination) judgeQUIC(ctx context.Context) bool {
	within := unannouncedWithin
	if e.announcesH3 {
		within = quicWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	a := e.exchange(ctx, e.clients.http3, http.MethodGet, e.target.origin()+"/api/server/ping", nil, nil)
	switch {
	case a.err == nil && !e.announcesH3:
		e.add(Finding{
			ID: "http3-unannounced", Level: Note, Area: areaHTTP,
			Title:  "HTTP/3 works, but is not announced",
			Seen:   "no Alt-Svc header",
			Breaks: "Clients do not know about it, and use HTTP/2.",
		})
	case a.err != nil && e.announcesH3:
		e.add(Finding{
			ID: "http3-unreachable", Level: Warning, Area: areaHTTP,
			Title:  "HTTP/3 is announced, and does not work",
			Seen:   fmt.Sprintf("Alt-Svc says h3, but on UDP port %s: %s", e.clients.quicPort, inWords(a.err)),
			Breaks: "Phones try it again and again: slow first pictures, and uploads that hang on some networks.",
		})
	}
	return a.err == nil
}

var altSvcQUIC = regexp.MustCompile(`\bh3="[^":]*:(\d+)"`)

// announcedQUIC returns the port of HTTP/3, which may differ from that of HTTPS.
func announcedQUIC(altSvc, usualPort string) (announced bool, port string) {
	if found := altSvcQUIC.FindStringSubmatch(altSvc); found != nil {
		return true, found[1]
	}
	return false, usualPort
}

func (a *answer) altSvc() string {
	return strings.Join(a.header.Values("Alt-Svc"), ", ")
}
