package torture

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// allDays are numbered in the order of the report.
var allDays = sync.OnceValue(func() []*badDay {
	days := slices.Concat(immichDays(), proxyDays(), reloadDays(), keyFileDays(), certificateDays(), resourceDays(), clockDays(), networkDays(), traefikDays())
	for i, d := range days {
		d.number = i
	}
	return days
})

func TestBadDays(t *testing.T) {
	for _, d := range allDays() {
		if !d.quick && !*whole {
			continue
		}
		t.Run(strings.NewReplacer(" ", "_", "/", "").Replace(d.title()), func(t *testing.T) {
			t.Parallel()
			d.run(t)
		})
	}
}
