package testbed

import (
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
)

// A fault responds to a request in a way that net/http does not offer to handlers: it hijacks the connection.
type fault func(w http.ResponseWriter, r *http.Request)

const (
	half  = 1 << 19 // bytes of an upload that are read before something goes wrong
	whole = 1 << 62
	known = "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"
	chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	fine  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	noise = "\x16\x03\x01\x00\xff\x00\x01\x02\r\n\r\n"
)

var (
	much = strings.Repeat("x", 0x10000)

	// garbage can't be parsed as the beginning of a response.
	garbage = map[string]fault{
		"noise":                    answer(noise),
		"an empty line":            answer("\r\n\r\n"),
		"status 099":               answer("HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n"),
		"status 1000":              answer("HTTP/1.1 1000 What\r\nContent-Length: 0\r\n\r\n"),
		"no status":                answer("HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
		"another protocol":         answer("SSH-2.0-OpenSSH_9.2\r\n"),
		"a header without a colon": answer("HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\nok"),
		"a negative length":        answer("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
		"two lengths":              answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
		"an unknown encoding":      answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: zip\r\n\r\nok"),
		"half a head":              answer("HTTP/1.1 200 OK\r\nContent-Le"),
		"a head without end":       endlessHead,
		"an unwanted upgrade":      answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"),
	}
	// truncations begin well, and are not completed.
	truncations = map[string]fault{
		"half of a known length":        answer(known + much),
		"half of a known length, reset": answerAndReset(known + much),
		"no last chunk":                 answer(chunk + "10000\r\n" + much + "\r\n"),
		"no last chunk, reset":          answerAndReset(chunk + "10000\r\n" + much + "\r\n"),
		"half a chunk":                  answer(chunk + "20000\r\n" + much),
		"a length that is not a number": answer(chunk + "10000\r\n" + much + "\r\nxyz\r\n"),
		"a chunk of another length":     answer(chunk + "10\r\n" + much + "\r\n0\r\n\r\n"),
	}
	// abandonments leave an upload without a response.
	abandonments = map[string]fault{
		"closes at once":                    abandon(0, ""),
		"closes after half":                 abandon(half, ""),
		"resets after half":                 abandonAndReset(half),
		"closes after all":                  abandon(whole, ""),
		"resets after all":                  abandonAndReset(whole),
		"answers with noise after half":     abandon(half, noise),
		"answers with half a head at half":  abandon(half, "HTTP/1.1 201 Crea"),
		"answers with half a head, at last": abandon(whole, "HTTP/1.1 201 Created\r\nContent-Le"),
	}
	// additions send more than one response.
	additions = map[string]fault{
		"two answers":                       answerAndKeep(fine + strings.Replace(fine, "ok", "no", 1)),
		"more than the length":              answerAndKeep(fine + "and more"),
		"an answer after the one that ends": answer(fine + strings.Replace(fine, "ok", "no", 1)),
	}
	faults = merge(garbage, truncations, abandonments, additions)
)

// Garbage are faults in which Immich does not begin a response as it should.
var Garbage = slices.Sorted(maps.Keys(garbage))

// Truncations are faults in which a response begins, and is not completed.
var Truncations = slices.Sorted(maps.Keys(truncations))

// Abandonments are faults in which an upload gets no response.
var Abandonments = slices.Sorted(maps.Keys(abandonments))

// Additions are faults in which Immich sends a valid response of "ok", and then more.
var Additions = slices.Sorted(maps.Keys(additions))

// IsWhole reports whether an abandonment happens when Immich has read all of an upload.
func IsWhole(abandonment string) bool {
	return strings.HasSuffix(abandonment, "after all") || strings.HasSuffix(abandonment, "at last")
}

func merge(all ...map[string]fault) map[string]fault {
	merged := map[string]fault{}
	for _, some := range all {
		maps.Copy(merged, some)
	}
	return merged
}

// hijack takes the connection from net/http.
func hijack(w http.ResponseWriter) *net.TCPConn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err) // the fake Immich supports HTTP/1.1 only
	}
	return conn.(*net.TCPConn)
}

func answer(text string) fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn := hijack(w)
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, text)
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn) // what is unread at the end would turn the close into a reset
	}
}

func answerAndReset(text string) fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn := hijack(w)
		_, _ = io.WriteString(conn, text)
		resetConn(conn)
	}
}

// answerAndKeep leaves the connection open, as if for the next request.
func answerAndKeep(text string) fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn := hijack(w)
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	}
}

func resetConn(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func endlessHead(w http.ResponseWriter, _ *http.Request) {
	conn := hijack(w)
	defer func() { _ = conn.Close() }()
	_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
	for line := "X-Header: " + much + "\r\n"; err == nil; {
		_, err = io.WriteString(conn, line)
	}
}

// abandon reads some of an upload, writes a text, and closes the connection.
func abandon(after int64, text string) fault {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, after)
		conn := hijack(w)
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}

func abandonAndReset(after int64) fault {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, after)
		resetConn(hijack(w))
	}
}
