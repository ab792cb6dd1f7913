// Package sigv4 signs HTTP requests to Amazon Web Services: Signature Version 4, in the Authorization header.
//
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
)

// Credentials are an access key of AWS.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // of a temporary key; else empty
}

// Sign sets the headers X-Amz-Date, X-Amz-Security-Token and Authorization. The body is the one that is sent; every header that the request
// has already is signed as well. The host is the request's Host, or else its URL's. The path must not contain dot segments or doubled
// slashes, which AWS would normalize.
func (c Credentials) Sign(r *http.Request, body []byte, service, region string, now time.Time) {
	now = now.UTC()
	r.Header.Set("X-Amz-Date", now.Format(timeFormat))
	if c.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", c.SessionToken)
	}
	headers, names := canonicalHeaders(r)
	canonical := strings.Join([]string{r.Method, canonicalPath(r.URL), canonicalQuery(r.URL), headers, names, hexDigest(body)}, "\n")
	scope := strings.Join([]string{now.Format(dateFormat), region, service, "aws4_request"}, "/")
	toSign := strings.Join([]string{algorithm, now.Format(timeFormat), scope, hexDigest([]byte(canonical))}, "\n")
	key := []byte("AWS4" + c.SecretAccessKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = keyedHash(key, part)
	}
	r.Header.Set("Authorization", algorithm+" Credential="+c.AccessKeyID+"/"+scope+", SignedHeaders="+names+
		", Signature="+hex.EncodeToString(keyedHash(key, toSign)))
}

// canonicalPath is the path, escaped a second time.
func canonicalPath(u *url.URL) string {
	if path := u.EscapedPath(); path != "" {
		return strings.ReplaceAll(escape(path), "%2F", "/")
	}
	return "/"
}

// canonicalQuery sorts by name, then by value, both escaped.
func canonicalQuery(u *url.URL) string {
	var pairs [][2]string
	for name, values := range u.Query() {
		for _, value := range values {
			pairs = append(pairs, [2]string{escape(name), escape(value)})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var query []string
	for _, pair := range pairs {
		query = append(query, pair[0]+"="+pair[1])
	}
	return strings.Join(query, "&")
}

// escape encodes all but RFC 3986's unreserved characters.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") // a plus sign itself is %2B by now
}

// canonicalHeaders returns the headers, one a line, and their names.
func canonicalHeaders(r *http.Request) (lines, names string) {
	values := map[string][]string{}
	for name, list := range r.Header {
		if name != "Authorization" {
			values[strings.ToLower(name)] = list
		}
	}
	values["host"] = []string{r.URL.Host}
	if r.Host != "" {
		values["host"] = []string{r.Host}
	}
	sorted := slices.Sorted(maps.Keys(values))
	for _, name := range sorted {
		var trimmed []string
		for _, value := range values[name] {
			trimmed = append(trimmed, strings.Join(strings.Fields(value), " "))
		}
		lines += name + ":" + strings.Join(trimmed, ",") + "\n"
	}
	return lines, strings.Join(sorted, ";")
}

func hexDigest(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

func keyedHash(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
