package torture

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// allScenarios are numbered in the order of the report.
var allScenarios = sync.OnceValue(func() []*scenario {
	all := slices.Concat(immichScenarios(), proxyScenarios(), reloadScenarios(), keyFileScenarios(), certificateScenarios(), resourceScenarios(), clockScenarios(), networkScenarios(), traefikScenarios())
	for i, d := range all {
		d.number = i
	}
	return all
})

func TestFailures(t *testing.T) {
	for _, d := range allScenarios() {
		if !d.quick && !*whole {
			continue
		}
		t.Run(strings.NewReplacer(" ", "_", "/", "").Replace(d.title()), func(t *testing.T) {
			t.Parallel()
			d.run(t)
		})
	}
}
