package immichaccess_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"

	"github.com/immichaccess/immichaccess"
)

// A gateway with a key for one phone, in front of Immich.
func ExampleNew() {
	immich := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s at %s", r.Header.Get("X-Key-Name"), r.Header.Get("X-Real-IP"))
	}))
	defer immich.Close()
	address, err := url.Parse(immich.URL)
	if err != nil {
		panic(err)
	}
	proxy := &httputil.ReverseProxy{Director: func(r *http.Request) {
		r.URL.Scheme, r.URL.Host = address.Scheme, address.Host
	}}

	config := immichaccess.CreateConfig()
	config.Keys = []string{"phone:correct-horse-battery-staple"}
	config.KeyNameHeader = "X-Key-Name"
	config.LogDenied = false
	// The context ends when the handler is no longer needed; until then it follows config.KeysFile.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	handler, err := immichaccess.New(ctx, proxy, config, "photos")
	if err != nil {
		panic(err)
	}
	gateway := httptest.NewServer(handler)
	defer gateway.Close()

	for _, key := range []string{"", "correct-horse-battery-staple"} {
		request, err := http.NewRequest(http.MethodGet, gateway.URL, nil)
		if err != nil {
			panic(err)
		}
		request.Header.Set("X-Access-Key", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			panic(err)
		}
		response.Body.Close()
		fmt.Printf("%d %s\n", response.StatusCode, body)
	}
	// Output:
	// 403 {"message":"Missing or invalid access key (header X-Access-Key)","error":"Forbidden","statusCode":403}
	// 200 Hello, phone at 127.0.0.1
}
