package immichaccess

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// problems gathers what is wrong with the options, so that one start reports all of it.
type problems struct {
	list []any // errors; any, because Errorf takes them so
}

func (p *problems) add(option, format string, args ...any) {
	p.list = append(p.list, errors.New(option+": "+fmt.Sprintf(format, args...)))
}

// err returns one error that wraps them all. Its type is Errorf's: Yaegi would not hand on an Unwrap of ours.
func (p *problems) err(name string) error {
	if len(p.list) == 0 {
		return nil
	}
	format := "immichaccess: the configuration of %q is wrong: %w" + strings.Repeat("; %w", len(p.list)-1)
	return fmt.Errorf(format, append([]any{name}, p.list...)...)
}

// parseDuration wants a second or more, since cookies and Retry-After know nothing shorter.
func parseDuration(option, text string, errs *problems) time.Duration {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d < time.Second {
		errs.add(option, "%q is not a duration; allowed are hours, minutes and seconds, such as 720h, 15m or 1h30m, from 1s on", text)
	}
	return d
}

// orDefault lets an option that was left empty, as by an unset variable, mean its default.
func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// reservedHeaders can't carry a key or its name: Immich, its clients, or the way there need them.
var reservedHeaders = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Authorization": true, "Connection": true, "Content-Length": true,
	"Content-Type": true, "Cookie": true, "Expect": true, "Forwarded": true, "Host": true, "Keep-Alive": true, "Origin": true, "Range": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "User-Agent": true,
	"X-Api-Key": true, "X-Real-Ip": true,
}

// reservedPrefixes are families of such headers, X-Immich-Checksum and X-Forwarded-For among them.
var reservedPrefixes = []string{"Sec-", "X-Immich-", "X-Forwarded-", "Proxy-"}

// maxDashes bounds the spellings of a header, which double with each dash.
const maxDashes = 5

// checkHeaderName wants the canonical form of a name.
func checkHeaderName(option, name string, errs *problems) bool {
	if !isHeaderName(name) {
		errs.add(option, "%q is not a header name; allowed are letters, digits and up to %d dashes, as in X-Access-Key", name, maxDashes)
		return false
	}
	if isReserved(name) {
		errs.add(option, "%q is needed by Immich or by the way there; choose another header, such as %s", name, defaultKeyHeader)
		return false
	}
	return true
}

func isHeaderName(name string) bool {
	for i := 0; i < len(name); i++ {
		if !isTokenByte(name[i]) {
			return false
		}
	}
	return strings.Count(name, "-") <= maxDashes
}

func isReserved(name string) bool {
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return reservedHeaders[name]
}

// isTokenByte leaves out what RFC 9110 would allow and servers treat as a dash, or not at all.
func isTokenByte(c byte) bool {
	return c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// spellings returns the forms in which a header of the canonical name can arrive when its dashes are written as
// underscores, which some servers take for the same.
func spellings(canonical string) []string {
	forms := []string{""}
	for i := 0; i < len(canonical); i++ {
		forms = appendByte(forms, canonical[i])
	}
	return forms
}

// appendByte branches at a dash: after an underscore, net/http's canonical form has a small letter.
func appendByte(forms []string, c byte) []string {
	var longer []string
	for _, form := range forms {
		if strings.HasSuffix(form, "_") {
			longer = append(longer, form+strings.ToLower(string(rune(c))))
		} else {
			longer = append(longer, form+string(rune(c)))
		}
		if c == '-' {
			longer = append(longer, form+"_")
		}
	}
	return longer
}
