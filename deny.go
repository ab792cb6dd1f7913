package immichaccess

import (
	"crypto/sha256"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is an error in the shape Immich gives its own, so that its apps can show it.
type answer struct {
	Message    string `json:"message"`
	Error      string `json:"error"`
	StatusCode int    `json:"statusCode"`
}

// reasonPhrase is that of Immich's framework, NestJS, which for 413 differs from net/http's.
func reasonPhrase(status int) string {
	if status == http.StatusRequestEntityTooLarge {
		return "Payload Too Large"
	}
	return http.StatusText(status)
}

func writeError(w http.ResponseWriter, r *http.Request, status int, message string) {
	body, _ := json.Marshal(answer{Message: message, Error: reasonPhrase(status), StatusCode: status}) // can't fail
	writeAnswer(w, r, status, "application/json; charset=utf-8", body)
}

// writeAnswer writes what comes from us and not from Immich. The request's body need not have been read.
func writeAnswer(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified"} { // of an answer that we take the place of
		h.Del(name)
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		h.Set("Connection", "close") // else net/http reads on, up to 256 KiB, before it answers
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// denial is why a request may not pass.
type denial struct {
	reason string // for the log
	key    string // the name of the request's key, if there is such a key
	wrong  bool   // there is none
	digest [sha256.Size]byte
	wait   time.Duration // until it is worth to try again; 0 unless there were too many wrong keys
}

// denials answers the requests that are turned away.
type denials struct {
	log        *logbook
	forwarding *forwarding
	status     int                                                                      // denyStatus
	header     string                                                                   // that carries the key; named in the answer
	page       func(w http.ResponseWriter, r *http.Request, status int, denied *denial) // for browsers; nil without browserLogin
}

func newDenials(config *Config, log *logbook, forwarding *forwarding, errs *problems) *denials {
	d := &denials{log: log, forwarding: forwarding, status: config.DenyStatus, header: orDefault(config.KeyHeader, defaultKeyHeader)}
	if d.status == 0 {
		d.status = http.StatusForbidden
	}
	switch d.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
	default:
		errs.add("denyStatus", "%d is not allowed; choose 401, 403 or 404", d.status)
	}
	return d
}

// forKey answers a request for want of a key.
func (d *denials) forKey(w http.ResponseWriter, r *http.Request, denied *denial) {
	d.logKey(r, denied)
	status := d.announce(w, denied)
	if d.page != nil && isNavigation(r) {
		d.page(w, r, status, denied)
		return
	}
	writeError(w, r, status, d.message(status))
}

func (d *denials) logKey(r *http.Request, denied *denial) {
	d.log.denied(r, addressText(d.forwarding.client(r), unknownClient), denied.reason, denied.key)
}

// isNavigation tells whether a person waits for a page: the browser says so (Fetch Metadata), or, where it can't, as over
// plain HTTP, it accepts HTML. Requests of the API never get the page.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/") {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// announce returns the status of a denial, and sets the headers that belong to it.
func (d *denials) announce(w http.ResponseWriter, denied *denial) int {
	if denied.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(denied.wait.Seconds()))))
		return http.StatusTooManyRequests
	}
	if d.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "AccessKey header="+strconv.Quote(d.header)) // RFC 9110, section 11.6.1, asks for one
	}
	return d.status
}

// message tells who is denied what to do, except with 404, which is chosen to tell nothing.
func (d *denials) message(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not Found"
	case http.StatusTooManyRequests:
		return "Too many wrong access keys: try again later"
	}
	return "A right access key is needed, in the header " + d.header
}

func (d *denials) forSize(w http.ResponseWriter, r *http.Request, limit string) {
	d.log.denied(r, orDefault(r.Header.Get("X-Real-Ip"), unknownClient), "upload larger than "+limit, "")
	writeError(w, r, http.StatusRequestEntityTooLarge, tooLarge(limit))
}

func tooLarge(limit string) string {
	return "The upload is larger than " + limit
}
