package fakeimmich

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestServesRanges(t *testing.T) {
	t.Parallel()

	_, url := start(t)
	content, err := io.ReadAll(Content(defaultSize))
	if err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct {
		path   string
		header http.Header
		status int
		want   []byte
	}{
		"whole":         {"/original", nil, http.StatusOK, content},
		"first bytes":   {"/thumbnail", http.Header{"Range": {"bytes=0-9"}}, http.StatusPartialContent, content[:10]},
		"middle":        {"/video/playback", http.Header{"Range": {"bytes=65500-131099"}}, http.StatusPartialContent, content[65500:131100]},
		"end":           {"/original", http.Header{"Range": {"bytes=-5"}}, http.StatusPartialContent, content[defaultSize-5:]},
		"of that size":  {"/original?size=3", nil, http.StatusOK, content[:3]},
		"far into 2 GB": {"/original?size=2147483648", http.Header{"Range": {"bytes=655210000-655210009"}}, http.StatusPartialContent, content[:10]},
		"not modified":  {"/original", http.Header{"If-None-Match": {`"1048576"`}}, http.StatusNotModified, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			response, body := get(t, url+"/api/assets/3fa85f64-5717-4562-b3fc-2c963f66afa6"+test.path, test.header)
			if response.StatusCode != test.status {
				t.Errorf("answered %s", response.Status)
			}
			if !bytes.Equal([]byte(body), test.want) {
				t.Errorf("got %d bytes that are not the %d expected", len(body), len(test.want))
			}
		})
	}
}

func TestHeadHasTheSize(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	response, _ := do(t, http.MethodHead, url+"/api/assets/1/original?size=2147483648", nil, nil)
	if response.ContentLength != 2<<30 {
		t.Errorf("Content-Length is %d", response.ContentLength)
	}
}

func TestArchiveHasNoLength(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	response, body := do(t, http.MethodPost, url+"/api/download/archive?size=100", nil, strings.NewReader("{}"))
	if response.ContentLength != -1 {
		t.Errorf("Content-Length is %d", response.ContentLength)
	}

	want, _ := io.ReadAll(Content(100))
	if body != string(want) {
		t.Errorf("got %d bytes that are not the 100 expected", len(body))
	}
}
