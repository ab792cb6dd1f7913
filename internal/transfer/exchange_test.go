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
	for _, test := range []struct {
		protocol int
		idle     time.Duration
		want     []int
	}{
		{1, time.Hour, []int{16, 64, 64, 64}},
		{2, time.Hour, []int{16, 64, 64, 64}},
		{3, time.Hour, []int{16, 1024, 1024, 64}},
		{3, 10 * time.Second, []int{16, 160, 160, 64}}, // 16 KB/s, if it becomes slow
		{3, time.Second, []int{16, 64, 64}},
	} {
		size := 0
		for _, kilobytes := range test.want {
			size += kilobytes << 10
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.ProtoMajor = test.protocol
		w := &sizes{ResponseRecorder: httptest.NewRecorder()}
		Handler(&Tracker{}, test.idle, func(Entry) {}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, size))
		})).ServeHTTP(w, r)
		if !slices.Equal(w.written, test.want) {
			t.Errorf("over HTTP/%d, with %v: %d KB, want %d", test.protocol, test.idle, w.written, test.want)
		}
	}
}
