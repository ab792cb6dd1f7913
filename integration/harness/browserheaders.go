package harness

import "net/http"

// BrowserHeaders are those that a browser sends for a thumbnail, and an access key.
func BrowserHeaders(key string) http.Header {
	return http.Header{
		"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		"Accept":          {"image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"},
		"Accept-Language": {"en-US,en;q=0.5"},
		"Accept-Encoding": {"gzip, deflate, br, zstd"},
		"Referer":         {"https://photos.example.com/photos"},
		"Cookie":          {"immich_access_token=dGhpcyBpcyBub3QgYSB0b2tlbiBhdCBhbGw; immich_auth_type=password; immich_is_authenticated=true"},
		"Sec-Fetch-Dest":  {"image"},
		"Sec-Fetch-Mode":  {"no-cors"},
		"Sec-Fetch-Site":  {"same-origin"},
		"Priority":        {"u=5, i"},
		"Te":              {"trailers"},
		"X-Access-Key":    {key},
	}
}
