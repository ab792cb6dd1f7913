package immichaccess

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// linesPerSecond limits the log, so that an attack does not fill the disk.
const linesPerSecond = 10

// denialLog writes lines, never with a secret. A middleware with a name writes text through package log, which Traefik shows
// at level ERROR, the only one it shows by default; what a plugin writes to slog bypasses Traefik's log. Without a name,
// which only Go programs leave out, the lines go to slog's default logger, with attributes.
type denialLog struct {
	name      string
	logDenied bool

	mu     sync.Mutex
	second int64 // Unix time of the lines counted; guarded by mu
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
	attributes := []any{"client", client, "method", shorten(r.Method), "path", shorten(withoutSecrets(r.URL.Path)), "reason", reason}
	if key != "" {
		attributes = append(attributes, "key", key)
	}
	l.warn("denied", attributes...)
}

// count reports whether this second has room for another line, and how many lines were left out before.
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

// warn logs a message with attributes, which are names and values in turn. In a middleware with a name they become text.
func (l *denialLog) warn(message string, attributes ...any) {
	if l.name == "" {
		slog.Warn(message, attributes...)
		return
	}
	line := message
	for i := 0; i < len(attributes); i += 2 {
		line += fmt.Sprintf(" %s=%s", attributes[i], quoteForLog(fmt.Sprint(attributes[i+1])))
	}
	log.Printf("immichaccess: %s: %s", l.name, line)
}

// warnOfKeys logs one line for each kind of warning, with the names of the keys.
func (l *denialLog) warnOfKeys(set *keySet) {
	names := map[string][]string{}
	for _, e := range set.byDigest {
		if e.warning != "" {
			names[e.warning] = append(names[e.warning], e.name)
		}
		if isExpired(e) {
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

// shorten keeps a client from writing long lines into the log.
func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// quoteForLog quotes what could be mistaken for the end of a value or of a line, as slog.TextHandler does.
func quoteForLog(s string) string {
	quote := s == ""
	for _, c := range s {
		if c == ' ' || c == '"' || c == '=' || c == utf8.RuneError || !unicode.IsPrint(c) {
			quote = true
			break
		}
	}
	if quote {
		return strconv.Quote(s)
	}
	return s
}

// withoutSecrets masks the key or slug of a shared link, which is as good as a password. The mask is that of internal/logging.
func withoutSecrets(decoded string) string {
	plain := path.Clean("/" + strings.ToLower(decoded))
	for _, prefix := range []string{"/share/", "/s/"} {
		if strings.HasPrefix(plain, prefix) {
			return prefix + "****"
		}
	}
	return decoded
}
