package immichaccess

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"net/http"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"sync"
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

// linesPerSecond bounds the log, so that an attack does not fill the disk.
const linesPerSecond = 10

// denial is why a request may not pass.
type denial struct {
	reason string // for the log
	key    string // the name of the request's key, if there is such a key
	wrong  bool   // there is none
	digest [sha256.Size]byte
	wait   time.Duration // until it is worth to try again; 0 unless there were too many wrong keys
}

// denials answers and logs the requests that are turned away. Lines go through package log: Traefik gives it its own
// format, at level ERROR, the only one it shows by default.
type denials struct {
	name   string
	lines  bool
	status int    // denyStatus
	header string // that carries the key; named in the answer
	client func(*http.Request) netip.Addr
	page   func(w http.ResponseWriter, r *http.Request, status int, denied *denial) // for browsers; nil without browserLogin

	mu     sync.Mutex
	second int64 // since 1970, of the lines counted; guarded by mu
	shown  int   // guarded by mu
	hidden int   // guarded by mu
}

func newDenials(config *Config, name string, errs *problems) *denials {
	d := &denials{name: name, lines: config.LogDenied, status: config.DenyStatus, header: orDefault(config.KeyHeader, defaultKeyHeader)}
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
	d.log(r, addressText(d.client(r), unknownClient), denied.reason, denied.key)
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
	return "An access key is needed: the header " + d.header
}

func (d *denials) forSize(w http.ResponseWriter, r *http.Request, limit string) {
	d.log(r, orDefault(r.Header.Get("X-Real-Ip"), unknownClient), "upload larger than "+limit, "")
	writeError(w, r, http.StatusRequestEntityTooLarge, tooLarge(limit))
}

func tooLarge(limit string) string {
	return "The upload is larger than " + limit
}

func (d *denials) log(r *http.Request, client, reason, key string) {
	if !d.lines {
		return
	}
	show, hidden := d.count(time.Now().Unix())
	if hidden > 0 {
		d.warn(fmt.Sprintf("%d more requests were denied and not logged", hidden))
	}
	if !show {
		return
	}
	line := fmt.Sprintf("denied client=%s method=%s path=%s reason=%q", client, loggable(r.Method), loggable(withoutSecrets(r.URL.Path)), reason)
	if key != "" {
		line += " key=" + key
	}
	d.warn(line)
}

// count tells whether this second still has room for a line, and how many found none before.
func (d *denials) count(second int64) (show bool, hidden int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.second != second {
		hidden = d.hidden
		d.second, d.shown, d.hidden = second, 0, 0
	}
	if d.shown == linesPerSecond {
		d.hidden++
		return false, hidden
	}
	d.shown++
	return true, hidden
}

func (d *denials) warn(line string) {
	log.Printf("immichaccess: %s: %s", d.name, line)
}

// warnOfKeys logs one line for all the secrets that are easy to guess, and one for the keys whose time is over.
func (d *denials) warnOfKeys(set *keySet) {
	var weak, expired []string
	for _, e := range set.byDigest {
		if e.weak {
			weak = append(weak, e.name)
		}
		if !e.until.IsZero() && !time.Now().Before(e.until) {
			expired = append(expired, e.name)
		}
	}
	if len(weak) > 0 {
		d.warn(fmt.Sprintf("secrets of less than %d characters are easy to guess: %s", weakSecret, firstFew(weak)))
	}
	if len(expired) > 0 {
		d.warn("keys that have expired: " + firstFew(expired))
	}
}

func firstFew(names []string) string {
	sort.Strings(names)
	if len(names) > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	return strings.Join(names, ", ")
}

// loggable keeps a client from writing lines of its own, or long ones, into the log.
func loggable(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strconv.Quote(s)
}

// withoutSecrets masks what in a path of Immich's is as good as a password: the key or slug of a shared link.
func withoutSecrets(path string) string {
	plain := "/" + strings.TrimLeft(strings.ToLower(path), "/")
	for _, prefix := range []string{"/share/", "/s/"} {
		if strings.HasPrefix(plain, prefix) {
			return prefix + "…"
		}
	}
	return path
}
