package differential

import (
	"slices"
	"strings"
	"testing"
)

// TestExpectedRoutesAreTheAPIs compares the list with Immich's API: the operations that links may use there need a link here.
func TestExpectedRoutesAreTheAPIs(t *testing.T) {
	im := startImmich(t, func(understanding) {})
	names := map[string]bool{"GET /.well-known/immich": true} // not of the API
	var linked []string
	for _, o := range im.Operations {
		name := o.Method + " " + parameter.ReplaceAllString(o.Path, "{}")
		names[name] = true
		if o.Linked {
			linked = append(linked, name)
		}
	}
	if len(names) < 250 {
		t.Errorf("there are only %d operations", len(names))
	}
	var expected []string
	for _, operations := range publicOperations {
		for name, needed := range operations {
			if !names[name] {
				t.Errorf("Immich has no %s", name)
			}
			if needed == link {
				expected = append(expected, name)
			}
		}
	}
	slices.Sort(linked)
	if expected = slices.Sorted(slices.Values(expected)); !slices.Equal(linked, expected) {
		t.Errorf("links need\n%s\nand may use\n%s", strings.Join(expected, "\n"), strings.Join(linked, "\n"))
	}
}
