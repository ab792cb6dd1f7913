package differential

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const mostReports = 3 // of one severity

// report prints one request of each kind of finding, shortened.
func (r *run) report() {
	r.mu.Lock()
	found := maps.Clone(r.findings)
	r.mu.Unlock()
	reported, explained := map[string][]string{}, map[int]int{}
	worstFirst := func(a, b string) int {
		return cmp.Or(severity(found[a].why)-severity(found[b].why), len(a)-len(b), cmp.Compare(a, b))
	}
	for _, mark := range slices.SortedFunc(maps.Keys(found), worstFirst) {
		f := found[mark]
		sort := sites[f.read.Site].name + ": " + f.why
		if reported[sort] = append(reported[sort], mark); len(reported[sort]) == 1 && explained[severity(f.why)] < mostReports {
			explained[severity(f.why)]++
			r.explain(mark, f)
		}
	}
	for _, sort := range slices.Sorted(maps.Keys(reported)) {
		r.t.Errorf("%d times (the first is -case=%s), %s", len(reported[sort]), number(reported[sort][0]), sort)
	}
}

// severity is less for what is worse.
func severity(why string) int {
	return slices.IndexFunc([]string{takesOther, notPublic, ""}, func(prefix string) bool { return strings.HasPrefix(why, prefix) })
}

func (r *run) explain(mark string, f finding) {
	n, err := strconv.ParseUint(number(mark), 10, 64)
	if err != nil {
		r.t.Errorf("%s\n%s(the mark %q is not one of this test's)", f.why, describe(f.read), mark)
		return
	}
	q, f := r.shrink(r.request(n), f)
	r.t.Errorf("%s\n%s%sagain: go test ./differential -run '^%s$' -args -seed=%d -case=%d", f.why, q, describe(f.read), r.t.Name(), r.gen.seed, n)
}

// number is the case's that the mark belongs to.
func number(mark string) string {
	return strings.TrimLeft(mark, "wtkh")
}
