package http2

import (
	"errors"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

const (
	// fieldCost is what a field counts in addition to its name and value (RFC 9113, section 6.5.2).
	fieldCost = 32
	// mostString and mostBlock are how many times as large as a head a field's value, and a field block, may be. Up to that, a block is
	// decoded, so that its request can be answered, and the next one be decoded; beyond it, the connection ends.
	mostString = 2
	mostBlock  = 4
)

var errHeadMuchTooLarge = connError{codeCalm, "a head is much too large"}

// headReader decodes the field blocks of a connection, one after another.
type headReader struct {
	most    int // as of Server.MaxHead
	decoder *hpack.Decoder

	stream  uint32 // whose block is incomplete, 0 if none
	ends    bool   // the stream, with the head
	block   int    // bytes of the block, so far
	awaited bool   // for which a timer runs
	fields
}

// fields is a decoded block.
type fields struct {
	pseudo    pseudoFields
	header    http.Header
	size      int
	regular   bool // there was one that is no pseudo-header field
	malformed bool
	oversized bool
}

// pseudoFields of a request (RFC 9113, section 8.3.1).
type pseudoFields struct {
	method, scheme, authority, path string
	seen                            int
}

func (h *headReader) init(most int) {
	h.most = most
	h.decoder = hpack.NewDecoder(defaultTableSize, h.add)
	h.decoder.SetMaxStringLength(mostString * most)
}

// begin is called for HEADERS.
func (h *headReader) begin(f frame) {
	h.stream, h.ends, h.block = f.stream, f.has(flagEndStream), 0
	h.fields = fields{header: http.Header{}}
	h.decoder.SetEmitEnabled(true)
}

// read decodes a part of the block.
func (h *headReader) read(part []byte, last bool) error {
	h.block += frameHeadSize + len(part)
	if h.block > mostBlock*h.most {
		return errHeadMuchTooLarge
	}
	if _, err := h.decoder.Write(part); errors.Is(err, hpack.ErrStringLength) {
		return errHeadMuchTooLarge
	} else if err != nil {
		return connError{codeCompression, err.Error()}
	}
	if !last {
		return nil
	}
	h.stream = 0
	if err := h.decoder.Close(); err != nil {
		return connError{codeCompression, err.Error()}
	}
	return nil
}

// add is called with each field.
func (h *headReader) add(field hpack.HeaderField) {
	h.size += len(field.Name) + len(field.Value) + fieldCost
	switch {
	case h.size > h.most:
		h.oversized = true
		h.decoder.SetEmitEnabled(false)
	case !httpguts.ValidHeaderFieldValue(field.Value):
		h.malformed = true
	case strings.HasPrefix(field.Name, ":"):
		h.malformed = !h.addPseudo(field) || h.malformed
	case !isFieldName(field.Name):
		h.malformed = true
	default:
		h.regular = true
		name := http.CanonicalHeaderKey(field.Name)
		h.header[name] = append(h.header[name], field.Value)
	}
}

// addPseudo returns false for one that is unknown, repeated, or after a regular field.
func (h *headReader) addPseudo(field hpack.HeaderField) bool {
	var value *string
	var bit int
	switch field.Name {
	case ":method":
		value, bit = &h.pseudo.method, 1
	case ":scheme":
		value, bit = &h.pseudo.scheme, 2
	case ":authority":
		value, bit = &h.pseudo.authority, 4
	case ":path":
		value, bit = &h.pseudo.path, 8
	default:
		return false
	}
	if h.regular || h.pseudo.seen&bit != 0 {
		return false
	}
	*value = field.Value
	h.pseudo.seen |= bit
	return true
}

// isFieldName is true of a token without capital letters (RFC 9113, section 8.2.1).
func isFieldName(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && strings.ToLower(name) == name
}

// readHeaders reads the head of a request, or its trailers.
func (c *conn) readHeaders(f frame) error {
	if f.stream%2 == 0 {
		return connError{codeProtocol, "HEADERS on a stream that is not the client's"}
	}
	c.head.begin(f)
	part, err := c.headPart(f)
	if err != nil {
		return err
	}
	if part, err = unpad(f, part); err != nil {
		return err
	}
	if f.has(flagPriority) {
		const prioritySize = 5
		if len(part) < prioritySize {
			return connError{codeFrameSize, "HEADERS without the priority they announce"}
		}
		part = part[prioritySize:]
	}
	return c.readBlock(f, part)
}

func (c *conn) readContinuation(f frame) error {
	if c.head.stream == 0 {
		return connError{codeProtocol, "CONTINUATION of nothing"}
	}
	part, err := c.headPart(f)
	if err != nil {
		return err
	}
	return c.readBlock(f, part)
}

// headPart limits how long the rest of a head may take to arrive. Most heads arrive in one piece and need no timer.
func (c *conn) headPart(f frame) ([]byte, error) {
	if c.reader.Buffered() < f.length {
		c.awaitHead(int64(f.length))
	}
	return c.payload(f)
}

func (c *conn) awaitHead(more int64) {
	if !c.head.awaited && c.asked {
		c.headTimer.Reset(c.server.HeadTimeout)
	}
	c.head.awaited = true
	c.monitor.Pending(int64(c.head.block) + more)
}

func (c *conn) readBlock(f frame, part []byte) error {
	last := f.has(flagEndHeaders)
	if err := c.head.read(part, last); err != nil {
		return err
	}
	if !last {
		c.awaitHead(0)
		return nil
	}
	c.headDone()
	if s := c.find(f.stream); s != nil {
		return s.trailersReceived(&c.head)
	}
	return c.requested(f.stream)
}

// headDone takes back what was reported as pending.
func (c *conn) headDone() {
	if !c.head.awaited {
		return
	}
	c.head.awaited = false
	c.monitor.Pending(0)
	if c.asked {
		c.headTimer.Stop()
	}
}

// hasAsked is called when a request begins. Until the first one, the client's time runs, whatever else it sends; and what is pending
// includes bytes of TLS.
func (c *conn) hasAsked() {
	if c.asked {
		return
	}
	c.asked = true
	c.headTimer.Stop()
	c.monitor.HasAsked()
	c.monitor.Pending(0)
}
