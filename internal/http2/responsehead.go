package http2

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/immichaccess/immichaccess/internal/semantics"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// responseHead is a head, or trailers.
type responseHead struct {
	interim bool
	fields  []hpack.HeaderField
}

// moreFields is how many the response adds, with its status.
const moreFields = 4

// newHead returns a head with what header has now, but for the length; trailers have no status.
func newHead(status int, header http.Header) responseHead {
	head := responseHead{interim: semantics.IsInterim(status), fields: make([]hpack.HeaderField, 0, len(header)+moreFields)}
	if status != 0 {
		head.add(":status", strconv.Itoa(status))
	}
	for name, values := range header {
		lower, ok := fieldName(name)
		if !ok {
			continue
		}
		for _, value := range values {
			if httpguts.ValidHeaderFieldValue(value) {
				head.add(lower, value)
			}
		}
	}
	return head
}

func (h *responseHead) add(name, value string) {
	h.fields = append(h.fields, hpack.HeaderField{Name: name, Value: value})
}

// encode returns the field block, which is valid until the next; the connection's mutex is held.
func (o *output) encode(head *responseHead) []byte {
	o.block.Reset()
	for _, field := range head.fields {
		_ = o.encoder.WriteField(field) // to memory
	}
	return o.block.Bytes()
}

// fieldNames has the names of usual headers as they are sent.
var fieldNames = lowerCase("Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Alt-Svc", "Cache-Control", "Content-Disposition",
	"Content-Encoding", "Content-Language", "Content-Range", "Content-Security-Policy", "Content-Type", "Date", "Etag", "Expires",
	"Last-Modified", "Location", "Referrer-Policy", "Server", "Set-Cookie", "Strict-Transport-Security", "Vary",
	"X-Content-Type-Options", "X-Correlation-Id", "X-Frame-Options", "X-Powered-By")

func lowerCase(names ...string) map[string]string {
	lower := make(map[string]string, len(names))
	for _, name := range names {
		lower[name] = strings.ToLower(name)
	}
	return lower
}

// fieldName returns the name as it is sent. It is not ok for what HTTP/2 does not have, and for the length, which the response decides.
func fieldName(name string) (lower string, ok bool) {
	if lower, usual := fieldNames[name]; usual {
		return lower, true
	}
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Content-Length":
		return "", false
	}
	return strings.ToLower(name), httpguts.ValidHeaderFieldName(name)
}
