package immichaccess

import (
	"fmt"
	"log"
	"net/http"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// linesPerSecond limits the log, so that an attack does not fill the disk.
const linesPerSecond = 10

// denialLog writes lines, never with a secret, through package log: Traefik gives that its own format, at level ERROR, the
// only one it shows by default.
type denialLog struct {
	name      string
	logDenied bool

	mu     sync.Mutex
	second int64 // since 1970, of the lines counted; guarded by mu
	shown  int   // guarded by mu
	hidden int   // guarded by mu
}

func newDenialLog(name string, logDenied bool) *denialLog {
	return &denialLog{name: name, logDenied: logDenied}
}

func (l *denialLog) denied(r *http.Request, client, reason, key string) {
	if !l.logDenied {
		return
	}
	show, hidden := l.count(time.Now().Unix())
	if hidden > 0 {
		l.warn(fmt.Sprintf("%d more requests were denied and not logged", hidden))
	}
	if !show {
		return
	}
	line := fmt.Sprintf("denied client=%s method=%s path=%s reason=%q", client, quoteForLog(r.Method), quoteForLog(withoutSecrets(r.URL.Path)), reason)
	if key != "" {
		line += " key=" + key
	}
	l.warn(line)
}

// count tells whether this second has room for another line, and how many lines were left out before.
func (l *denialLog) count(second int64) (show bool, hidden int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.second != second {
		hidden = l.hidden
		l.second, l.shown, l.hidden = second, 0, 0
	}
	if l.shown == linesPerSecond {
		l.hidden++
		return false, hidden
	}
	l.shown++
	return true, hidden
}

func (l *denialLog) warn(line string) {
	log.Printf("immichaccess: %s: %s", l.name, line)
}

// warnOfKeys logs one line for each kind of warning, with the names of the keys.
func (l *denialLog) warnOfKeys(set *keySet) {
	names := map[string][]string{}
	for _, e := range set.byDigest {
		if e.warning != "" {
			names[e.warning] = append(names[e.warning], e.name)
		}
		if !e.expiresAt.IsZero() && !time.Now().Before(e.expiresAt) {
			names[hasExpired] = append(names[hasExpired], e.name)
		}
	}
	for _, warning := range []string{isWeak, isPublished, isLikeDigest, hasExpired} {
		if names[warning] != nil {
			l.warn(warning + ": " + firstFew(names[warning]))
		}
	}
}

func firstFew(names []string) string {
	sort.Strings(names)
	if len(names) > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	return strings.Join(names, ", ")
}

// quoteForLog keeps a client from writing lines of its own, or long ones, into the log.
func quoteForLog(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strconv.Quote(s)
}

// withoutSecrets masks the key or slug of a shared link, which is as good as a password.
func withoutSecrets(decoded string) string {
	plain := path.Clean("/" + strings.ToLower(decoded))
	for _, prefix := range []string{"/share/", "/s/"} {
		if strings.HasPrefix(plain, prefix) {
			return prefix + "…"
		}
	}
	return decoded
}
