package transfer

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// sizes records how much is written at once.
type sizes struct {
	*httptest.ResponseRecorder

	written []int
}

func (s *sizes) Write(p []byte) (int, error) {
	s.written = append(s.written, len(p)>>10)
	return len(p), nil
}

// TestQuickClientsGetLargerPieces after the first, in which a slow one shows. The clock stands still meanwhile.
func TestQuickClientsGetLargerPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testPieces)
}

func testPieces(t *testing.T) {
	for protocol, want := range map[int][]int{1: {16, 64, 64, 64}, 2: {16, 64, 64, 64}, 3: {16, 1024, 1024, 64}} {
		size := 0
		for _, kilobytes := range want {
			size += kilobytes << 10
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.ProtoMajor = protocol
		w := &sizes{ResponseRecorder: httptest.NewRecorder()}
		Handler(&Tracker{}, time.Hour, func(Entry) {}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, size))
		})).ServeHTTP(w, r)
		if !slices.Equal(w.written, want) {
			t.Errorf("over HTTP/%d: %d KB, want %d", protocol, w.written, want)
		}
	}
}
