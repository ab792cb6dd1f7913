package fakeimmich

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	defaultSize = 1 << 20
	// patternSize is a prime, so that all buffers of a stream differ and a lost or repeated one is noticed.
	patternSize = 65521
)

var pattern = newPattern()

func newPattern() []byte {
	block := make([]byte, patternSize)
	_, _ = rand.NewChaCha8([32]byte{}).Read(block)

	return block
}

// Content returns what the server sends for an asset of that size: always the same bytes, generated while they are read.
func Content(size int64) io.ReadSeeker {
	return io.NewSectionReader(endlessPattern{}, 0, size)
}

type endlessPattern struct{}

func (endlessPattern) ReadAt(p []byte, offset int64) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], pattern[(offset+int64(n))%patternSize:])
	}

	return len(p), nil
}

func serveAsset(contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		size, err := querySize(r, defaultSize)
		if err != nil {
			writeError(w, http.StatusBadRequest, err)
			return
		}

		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Etag", fmt.Sprintf(`"%d"`, size))
		http.ServeContent(w, r, "", time.Time{}, Content(size))
	}
}

// serveArchive sends no Content-Length, like a server that compresses the response.
func serveArchive(w http.ResponseWriter, r *http.Request) {
	size, err := querySize(r, defaultSize)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}

	if discardBody(r) != nil {
		return
	}

	w.Header().Set("Content-Type", "application/octet-stream")
	_ = http.NewResponseController(w).Flush()
	_, _ = io.Copy(w, Content(size))
}
