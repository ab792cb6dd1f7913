// Package publicroutes compares the public routes with Immich's API.
package publicroutes

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/conformance"
)

// The public routes are compared with Immich's own client of its API, which is generated from the server's source.

// sdk is the package and its version; IMMICH_SDK names another version, such as latest.
var sdk = "@immich/sdk@" + cmp.Or(os.Getenv("IMMICH_SDK"), "3.2.2")

// operation is one of Immich's API.
type operation struct {
	name   string // METHOD /api/path/{parameter}
	linked bool   // takes a shared link's key and its slug
}

// sdkOperations parses the client.
func sdkOperations(t *testing.T) []operation {
	t.Helper()
	source, err := sdkSource()
	if err != nil {
		t.Fatal(err)
	}
	functions := sdkFunction.FindAllStringSubmatch(source, -1)
	operations := make([]operation, 0, len(functions))
	for _, function := range functions {
		body := function[1]
		path := sdkPath.FindStringSubmatch(body)
		if path == nil {
			t.Fatalf("there is no path in\n%s", body)
		}
		method := http.MethodGet
		if named := sdkMethod.FindStringSubmatch(body); named != nil {
			method = named[1]
		}
		query := sdkQuery.FindString(body)
		operations = append(operations, operation{
			name:   method + " /api" + sdkParameter.ReplaceAllString(path[1], "{$1}"),
			linked: sdkKey.MatchString(query) && sdkSlug.MatchString(query),
		})
	}
	return operations
}

var (
	sdkFunction  = regexp.MustCompile(`(?s)\nexport function \w+\([^)]*\) \{\n(.*?)\n\}\n`)
	sdkPath      = regexp.MustCompile("oazapfts\\.fetch\\w+\\([`\"](/.*?)(?:\\$\\{QS|[`\"])")
	sdkParameter = regexp.MustCompile(`\$\{encodeURIComponent\((\w+)\)\}`)
	sdkMethod    = regexp.MustCompile(`\bmethod: "(\w+)"`)
	sdkQuery     = regexp.MustCompile(`(?s)QS\.explode\(\{.*?\}\)`)
	sdkKey       = regexp.MustCompile(`(?m)^\s+key,?$`)
	sdkSlug      = regexp.MustCompile(`(?m)^\s+slug,?$`)
)

// sdkSource downloads the client from npm, once.
var sdkSource = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if output, err := exec.Command("npm", "pack", "--silent", "--pack-destination", folder, sdk).CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm pack %s: %w\n%s", sdk, err, output)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("npm has left %v", files)
	}
	return unpacked(files[0], "package/build/fetch-client.js")
})

// unpacked returns one file of an archive.
func unpacked(archive, name string) (string, error) {
	file, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return "", err
	}
	entries := tar.NewReader(plain)
	for {
		entry, err := entries.Next()
		if err != nil {
			return "", fmt.Errorf("%s in %s: %w", name, archive, err)
		}
		if entry.Name == name {
			text, err := io.ReadAll(entries)
			return string(text), err
		}
	}
}

// opened returns the operations that a request with the query reaches without an access key.
func opened(t *testing.T, operations []operation, publicRoute, query string) []string {
	t.Helper()
	config := immichaccess.CreateConfig()
	config.Keys, config.PublicRoutes, config.LogDenied = []string{conformance.Key}, []string{publicRoute}, false
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	handler, err := immichaccess.New(t.Context(), next, config, "sdk")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range operations {
		method, path, _ := strings.Cut(filledIn(o.name), " ")
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, httptest.NewRequest(method, path+"?"+query, nil))
		if response.Code == http.StatusNoContent {
			names = append(names, o.name)
		} else if response.Code != http.StatusForbidden {
			t.Errorf("%s: status %d", o.name, response.Code)
		}
	}
	slices.Sort(names)
	return names
}

// filledIn fills in the parameters, which are all UUIDs or any text.
func filledIn(path string) string {
	return placeholder.ReplaceAllString(path, "3fa85f64-5717-4562-b3fc-2c963f66afa6")
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

func TestSDKIsParsed(t *testing.T) {
	operations := sdkOperations(t)
	if len(operations) < 250 {
		t.Errorf("there are only %d operations", len(operations))
	}
	for _, want := range []operation{
		{"POST /api/assets", true},
		{"PUT /api/assets", false},
		{"GET /api/server/ping", false},
		{"GET /api/timeline/buckets", true},
		{"DELETE /api/assets/{id}/video/stream/{sessionId}", true},
	} {
		if !slices.Contains(operations, want) {
			t.Errorf("there is no %+v", want)
		}
	}
}

// TestPublicRoutesFitTheAPI requires that each name makes exactly the documented routes public, and that shared links reach all
// of Immich's routes for them.
func TestPublicRoutesFitTheAPI(t *testing.T) {
	operations := sdkOperations(t)
	var linked []string
	for _, o := range operations {
		if o.linked {
			linked = append(linked, o.name)
		}
	}
	media := []string{"GET /api/assets/{id}/thumbnail", "GET /api/assets/{id}/video/playback"}
	for name, route := range map[string]struct{ always, withLink, withSession []string }{
		"ping":          {always: []string{"GET /api/server/ping"}},
		"well-known":    {},
		"oauth":         {always: []string{"GET /api/oauth/mobile-redirect", "POST /api/oauth/backchannel-logout"}},
		"session-media": {withSession: media},
		"shared-links": {
			always:   []string{"GET /api/public/config", "GET /api/server/config", "GET /api/server/features", "GET /api/server/media-types"},
			withLink: linked,
		},
	} {
		for query, more := range map[string][]string{
			"": nil, "key=x": route.withLink, "slug=x": route.withLink, "sessionKey=x": route.withSession, "apiKey=x&keys=x": nil,
		} {
			want := slices.Sorted(slices.Values(slices.Concat(route.always, more)))
			if got := opened(t, operations, name, query); !slices.Equal(got, want) {
				t.Errorf("%s opens with %q:\n%s\nand should:\n%s", name, query, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// TestPublicRoutesExist finds routes that Immich does not have, or no longer has.
func TestPublicRoutesExist(t *testing.T) {
	operations := sdkOperations(t)
	routes := regexp.MustCompile(`(?m)^\t\t([A-Z]+) +(/api/[\w/{}.-]+)`).FindAllStringSubmatch(harness.ReadFile(t, filepath.Join(harness.RepositoryDir(), "publicroutes.go")), -1)
	if len(routes) < 20 {
		t.Fatalf("there are only %d routes in publicroutes.go", len(routes))
	}
	for _, route := range routes {
		known := slices.ContainsFunc(operations, func(o operation) bool {
			return placeholder.ReplaceAllString(o.name, "{}") == placeholder.ReplaceAllString(route[1]+" "+route[2], "{}")
		})
		if !known {
			t.Errorf("Immich has no %s %s", route[1], route[2])
		}
	}
}
