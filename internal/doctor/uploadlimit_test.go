package doctor

import "testing"

func TestFindsLimits(t *testing.T) {
	t.Parallel()
	for want, size := range map[string]int64{
		"1 MB":         mega,
		"95.4 MB":      100_000_000, // Cloudflare's, if it counts in thousands
		"100 MB":       100 * mega,
		"5 GB":         5 * giga,
		"about 2.9 MB": 3 * mega,
		"about 704 MB": 707 * mega,
		"64 KB":        10, // the least that is tried
	} {
		tried := 0
		got := findLimit(largestUpload, func(n int64) bool { tried++; return n <= size })
		if got.String() != want || got.size > size || tried > 15 {
			t.Errorf("%d: %s after %d, want %s", size, got, tried, want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for want, size := range map[string]int64{
		"5 bytes": 5, "64 KB": 64 << 10, "1.5 MB": 3 * mega / 2, "100 MB": 100 * mega, "48 GB": largestUpload,
	} {
		if got := sizeText(size); got != want {
			t.Errorf("%d: %s, want %s", size, got, want)
		}
	}
}
