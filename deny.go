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

// errorBody is the format of Immich's own errors, so that its apps can show the message.
type errorBody struct {
	Message    string `json:"message"`
	Error      string `json:"error"`
	StatusCode int    `json:"statusCode"`
}

// reasonPhrase is the one of NestJS, Immich's framework, which for 413 differs from net/http's.
func reasonPhrase(status int) string {
	if status == http.StatusRequestEntityTooLarge {
		return "Payload Too Large"
	}
	return http.StatusText(status)
}

func writeError(w http.ResponseWriter, r *http.Request, status int, message string) {
	body, _ := json.Marshal(errorBody{Message: message, Error: reasonPhrase(status), StatusCode: status}) // can't fail
	writeAnswer(w, r, status, "application/json; charset=utf-8", body)
}

// writeAnswer writes a response of the gateway's own. The request's body need not have been read.
func writeAnswer(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified"} { // of the response that this one replaces
		h.Del(name)
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		h.Set("Connection", "close") // else net/http reads on, up to 256 KiB, before it answers
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have closed the connection
}

// Reasons for denials that are handled differently.
const (
	noKey        = "no key"
	expiredKey   = "expired key"
	sessionEnded = "session ended"
)

// denial is why a request is denied.
type denial struct {
	reason      string // for the log
	key         string // the name of the request's key, if it is known
	wrong       bool   // the key is unknown
	digest      [sha256.Size]byte
	wait        time.Duration // until the client may try again; 0 unless it is locked out
	certificate bool          // the reason is about the client's certificate
}

// denyResponder responds to requests that are denied.
type denyResponder struct {
	status     int    // denyStatus
	header     string // that carries the key, canonical
	basicAuth  bool
	forwarding *forwarding
	sessions   *sessions // nil without browserLogin
	log        *denialLog
}

// forKey responds to a request that has no valid key.
func (d *denyResponder) forKey(w http.ResponseWriter, r *http.Request, denied *denial) {
	d.logKey(r, denied)
	status := d.statusAndHeaders(w, r, denied)
	switch {
	case !isNavigation(r):
		writeError(w, r, status, d.message(r, status, denied))
	case d.sessions != nil:
		d.showLogin(w, r, status, denied)
	case denied.wait > 0:
		writePage(w, r, status, errorPage(tooManyKeys, tryAgain(denied)))
	default:
		writeError(w, r, status, d.message(r, status, denied))
	}
}

// showLogin responds with the login page, which leads back to the requested page.
func (d *denyResponder) showLogin(w http.ResponseWriter, r *http.Request, status int, denied *denial) {
	if denied.reason == sessionEnded {
		d.sessions.clear(w, r)
	}
	writePage(w, r, status, loginPage(d.header, explain(denied), r.URL.RequestURI()))
}

func (d *denyResponder) logKey(r *http.Request, denied *denial) {
	d.log.denied(r, addressText(d.forwarding.client(r), unknownClient), denied.reason, denied.key)
}

// isNavigation reports whether a browser requests a page: Fetch Metadata (https://www.w3.org/TR/fetch-metadata/) says so or,
// where browsers do not send that, as over plain HTTP, it accepts HTML. Requests to the API never get a page.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/") {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// statusAndHeaders returns the status of a denial and sets the headers that belong to it.
func (d *denyResponder) statusAndHeaders(w http.ResponseWriter, r *http.Request, denied *denial) int {
	if denied.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(denied.wait.Seconds()))))
		return http.StatusTooManyRequests
	}
	if d.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", d.challenge(r)) // required by RFC 9110, section 11.6.1
	}
	return d.status
}

// challenge returns the value of WWW-Authenticate. Basic makes browsers show their own password dialog, so browsers do not get
// it if there is a login page.
func (d *denyResponder) challenge(r *http.Request) string {
	if d.basicAuth && (d.sessions == nil || !isFromBrowser(r)) {
		return `Basic realm="Immich"`
	}
	return "AccessKey header=" + strconv.Quote(d.header)
}

// message says what is missing, except with 404, which reveals nothing.
func (d *denyResponder) message(r *http.Request, status int, denied *denial) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "Too many wrong access keys; try again later"
	case d.sessions != nil && isOpenTab(r, denied):
		return "This browser's access has ended. Reload the page."
	case status == http.StatusNotFound:
		return "Not Found"
	case denied.certificate:
		return "Client certificate rejected: " + denied.reason
	}
	return "Missing or invalid access key (header " + d.header + ")"
}

// isOpenTab reports whether the request comes from a page of Immich's that was open when its session ended. Immich shows the
// message to the user. A browser no longer sends a cookie that has expired, but it sends the origin of the request.
func isOpenTab(r *http.Request, denied *denial) bool {
	return denied.reason == sessionEnded || denied.reason == noKey && r.Header.Get("Sec-Fetch-Site") == "same-origin"
}

func (d *denyResponder) forSize(w http.ResponseWriter, r *http.Request, limit string) {
	d.log.denied(r, orDefault(r.Header.Get("X-Real-Ip"), unknownClient), "upload larger than "+limit, "")
	writeError(w, r, http.StatusRequestEntityTooLarge, tooLarge(limit))
}

func tooLarge(limit string) string {
	return "The upload is larger than " + limit
}
