package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
)

// checkKey looks for ways to get in without the key. It is the only test that sends a wrong one, and sends only one, since a
// deployment may lock out clients that try many.
func (e *examination) checkKey(ctx context.Context) {
	if e.refusal == nil {
		e.judgeOpen()
		return
	}
	if around := e.protocolsWithoutKey(ctx); len(around) > 0 {
		e.add(Finding{
			ID: "key-not-asked", Level: Problem, Area: areaKey,
			Title:  "Over " + strings.Join(around, " and ") + " no key is asked for",
			Seen:   "a request without one reaches Immich",
			Breaks: "Anybody gets in that way.",
		})
		return
	}
	if header := e.spoofThatEnters(ctx); header != "" {
		e.add(Finding{
			ID: "key-bypassed", Level: Problem, Area: areaKey,
			Title:  "A client that claims a private address needs no key",
			Seen:   header + " in a request without a key is enough",
			Breaks: "Anybody gets in that way: the proxy trusts the address that clients claim.",
		})
		return
	}
	if !e.mayUseKey() {
		return
	}
	wrong := e.ask(ctx, http.MethodGet, gatePath, http.Header{http.CanonicalHeaderKey(e.KeyHeader): {"doctor-" + rand.Text()}}, "")
	if wrong.hasPassed() {
		e.add(Finding{
			ID: "wrong-key-accepted", Level: Problem, Area: areaKey,
			Title:  "A wrong key is accepted, too",
			Seen:   fmt.Sprintf("any value of %s is accepted", e.KeyHeader),
			Breaks: "Anybody gets in that way.",
		})
		return
	}
	e.passed("access-key", areaKey, fmt.Sprintf("none and a wrong one: %d; yours: accepted", e.refusal.status))
}

func (e *examination) judgeOpen() {
	f := Finding{
		ID: "no-key", Level: Note, Area: areaKey,
		Title:  "No access key is asked for",
		Seen:   "GET " + gatePath + " reaches Immich without one",
		Breaks: "Anybody who finds the address reaches Immich and its login. In a home network, that may be what you want.",
	}
	if e.Key != "" {
		f.Level, f.Title = Problem, "No access key is asked for, though you have one"
	}
	e.add(f)
}

// protocolsWithoutKey tests each version of HTTP: listeners are often configured one by one.
func (e *examination) protocolsWithoutKey(ctx context.Context) (open []string) {
	for _, version := range []struct {
		name   string
		client *http.Client
		tried  bool
	}{
		{"HTTP/1.1", e.clients.http1, true},
		{"HTTP/3", e.clients.http3, e.announcesH3},
	} {
		if version.tried && e.askWith(ctx, version.client, http.MethodGet, gatePath, nil, "").hasPassed() {
			open = append(open, version.name)
		}
	}
	return open
}

// spoofThatEnters returns the header that admits a client without a key, because it claims a private address.
func (e *examination) spoofThatEnters(ctx context.Context) string {
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
		for _, address := range []string{"127.0.0.1", "192.168.1.2", "10.0.0.2", "172.16.0.2"} {
			value := address
			if name == "Forwarded" {
				value = "for=" + address
			}
			if e.ask(ctx, http.MethodGet, gatePath, http.Header{name: {value}}, "").hasPassed() {
				return name + ": " + value
			}
		}
	}
	return ""
}
