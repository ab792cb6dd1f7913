package moving_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// facts are what a client and the upstream see of a request, by what it is. What is absent is empty.
type facts map[string]string

// result is one request, as both proxies of a pair handle it.
type result struct {
	pair        pair
	request     request
	before, now facts
}

func TestMoving(t *testing.T) {
	t.Parallel()
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.compare(t)
		})
	}
}

// compare requires that the proxies differ where the table says so, and nowhere else.
func (p pair) compare(t *testing.T) {
	up := newUpstream(t)
	old, ours := p.before(t, up.address), p.now(t, up.address)
	seen := map[line]bool{}
	for _, r := range requests {
		if r.plain && old.http == "" || r.notTo == p.name {
			continue
		}
		r = p.prepare(r)
		res := result{p, r, up.observe(t, old, r, before, p.buffers), up.observe(t, ours, r, now, false)}
		res.check(t, seen)
		res.checkKey(t)
	}
	p.requireAll(t, seen)
}

// requireAll wants every line of the table about this pair to have been seen.
func (p pair) requireAll(t *testing.T, seen map[line]bool) {
	t.Helper()
	for i, d := range differences {
		for j, c := range d.changes {
			if slices.Contains(d.in, p.name) && !seen[line{i, j}] {
				t.Errorf("no request shows: %s: %+v", d.title, c)
			}
		}
	}
}

// checkKey requires that the key lets a client in, and that a wrong one does not.
func (r result) checkKey(t *testing.T) {
	t.Helper()
	for side, seen := range map[string]facts{before: r.before, now: r.now} {
		reached := seen["upstream"] != ""
		if r.request.name == "with the key" && !reached || r.request.name == "wrong key" && reached && r.pair.wrong != "" {
			t.Errorf("%s: %s: reached the upstream: %t", side, r.request.name, reached)
		}
	}
}

// prepare completes the request with what the pair asks for.
func (p pair) prepare(r request) request {
	if r.method == "" {
		r.method = "GET"
	}
	if r.path == "" {
		r.path = "/photos"
	}
	if r.host == "" {
		r.host = harness.Domain
	}
	line := map[auth]string{right: p.right, wrong: p.wrong, none: ""}[r.auth]
	if line != "" {
		r.headers = append(slices.Clone(r.headers), line)
	}
	return r
}

// observe sends a request, and returns what both ends see of it.
func (u *upstream) observe(t *testing.T, s site, r request, side string, buffers bool) facts {
	t.Helper()
	r.id = side + ":" + r.name
	if !buffers {
		r.arrived = func() bool { return u.arrival(r.id) != nil }
	}
	seen := s.send(t, r)
	if a := u.arrival(r.id); a != nil {
		harness.Await(t, "the end of "+r.id+" at the upstream", a.hasEnded)
		maps.Copy(seen, a.facts)
	}
	usual := strings.NewReplacer(u.address, "immich:2283", ":"+port(t, s.https)+"/", "/", ":"+port(t, s.https), ":443")
	for name, value := range seen {
		seen[name] = usual.Replace(value)
	}
	return seen
}

// check compares the facts with the table, and notes which lines of it are right.
func (r result) check(t *testing.T, seen map[line]bool) {
	t.Helper()
	names := facts{"upstream": "", "status": ""}
	if alike(r) { // or all else follows from that
		maps.Copy(names, r.before)
		maps.Copy(names, r.now)
	}
	expected := r.expected()
	for fact := range expected {
		names[fact] = ""
	}
	for _, fact := range slices.Sorted(maps.Keys(names)) {
		before, now := r.before[fact], r.now[fact]
		where, known := expected[fact]
		switch {
		case known && before != now && where.matches(before, now):
			seen[where] = true
		case known:
			t.Errorf("%s: %s: %q before, %q now, but the table says: %s: %+v", r.request.name, fact, before, now, where.title(), where.change())
		case before != now:
			t.Errorf("%s: %s: %q before, %q now", r.request.name, fact, before, now)
		}
	}
}

// expected returns the lines of the table that concern the request, by fact: the first one counts.
func (r result) expected() map[string]line {
	lines := map[string]line{}
	for i, d := range differences {
		if !d.concerns(r) {
			continue
		}
		for j, c := range d.changes {
			if _, known := lines[c.fact]; !known {
				lines[c.fact] = line{i, j}
			}
		}
	}
	return lines
}
