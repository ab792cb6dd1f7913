package logging

import (
	"bytes"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
)

const mask = "****"

// sharePrefixes lead to shared links; what follows grants access like a password.
var sharePrefixes = []string{"/share/", "/s/"}

// secretParameters are Immich's query parameters that grant access, in lower case. Immich 2 accepts the password of a shared
// link, and the token that it returns for it, as parameters; code is OAuth's.
var secretParameters = []string{"key", "slug", "sessionkey", "apikey", "password", "token", "code"}

// Path returns a URL's path and query with secrets masked.
func Path(u *url.URL) string {
	shown := u.EscapedPath()
	plain := path.Clean("/" + strings.ToLower(u.Path))
	for _, prefix := range sharePrefixes {
		if strings.HasPrefix(plain, prefix) {
			shown = prefix + mask
		}
	}
	if u.RawQuery == "" {
		return shown
	}
	return shown + "?" + query(u.RawQuery)
}

// query keeps the order and spelling of what it does not mask, so that it can be compared with Immich's own log.
func query(raw string) string {
	parameters := strings.FieldsFunc(raw, func(c rune) bool { return c == '&' || c == ';' })
	for i, parameter := range parameters {
		name, _, _ := strings.Cut(parameter, "=")
		if isSecret(name) {
			parameters[i] = name + "=" + mask
		}
	}
	return strings.Join(parameters, "&")
}

// isSecret checks each word of a name, since Immich may read key[]=x as key, and a client may send X-Access-Key as a parameter.
func isSecret(name string) bool {
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	return slices.ContainsFunc(strings.FieldsFunc(strings.ToLower(name), isNoLetter), func(word string) bool {
		return slices.Contains(secretParameters, word)
	})
}

func isNoLetter(c rune) bool {
	return c < 'a' || c > 'z'
}

// Error returns the message of an error without what it quotes, which net/http does with all that it can't parse: it may be anything that
// Immich has sent, of any size.
func Error(err error) string {
	text, _, quotes := strings.Cut(err.Error(), `"`)
	if quotes {
		return text + `"…"`
	}
	return text
}

// unsolicited begins net/http's line about what has arrived after a response. The line quotes it, and it may be part of a response.
const unsolicited = "Unsolicited response received on idle HTTP channel"

// unquotedLog is for lines of package log.
type unquotedLog struct {
	io.Writer
}

func (l unquotedLog) Write(line []byte) (int, error) {
	if !bytes.HasPrefix(line, []byte(unsolicited)) {
		return l.Writer.Write(line)
	}
	_, err := io.WriteString(l.Writer, unsolicited)
	return len(line), err
}
