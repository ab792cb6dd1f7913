package differential

import (
	"slices"
	"time"
)

const shrinkTime = 30 * time.Second

// shrink removes everything from the request that is not needed for the same finding.
func (r *run) shrink(q request, f finding) (request, finding) {
	end := time.Now().Add(shrinkTime)
	if again, failed := r.try(q); !failed || again.why != f.why {
		f.why += " (not every time: perhaps only together with the requests around it)"
		return q, f
	}
	for smaller := true; smaller && time.Now().Before(end); {
		smaller = false
		for _, candidate := range simpler(q) {
			if again, failed := r.try(candidate); failed && again.why == f.why {
				q, f, smaller = candidate, again, true
				break
			}
		}
	}
	return q, f
}

// simpler returns simpler variants of the request, the greatest steps first.
func simpler(q request) []request {
	var all []request
	change := func(apply func(*request)) {
		c := q.clone()
		apply(&c)
		if c.String() != q.String() {
			all = append(all, c)
		}
	}
	change(func(c *request) { c.body, c.chunked, c.trailers, c.framing = "", false, nil, nil })
	change(func(c *request) { c.trailers = nil })
	change(func(c *request) { c.framing = nil })
	for i := range q.fields {
		change(func(c *request) { c.fields = slices.Delete(c.fields, i, i+1) })
	}
	for i := range q.query {
		change(func(c *request) { c.query = slices.Delete(c.query, i, i+1) })
	}
	change(func(c *request) { c.method = "GET" })
	for i := range q.fields {
		for _, value := range shorter(q.fields[i].value) {
			change(func(c *request) { c.fields[i].value = value })
		}
	}
	for i := range q.query {
		for _, value := range shorter(q.query[i]) {
			change(func(c *request) { c.query[i] = value })
		}
	}
	for _, value := range shorter(q.path) {
		change(func(c *request) { c.path = value })
	}
	return all
}

// shorter returns the text without its halves, its quarters and so on, down to single bytes if it is short.
func shorter(text string) []string {
	var all []string
	for size := (len(text) + 1) / 2; size > 0 && (size > 4 || len(text) <= 16); size /= 2 {
		for at := 0; at < len(text); at += size {
			all = append(all, text[:at]+text[min(at+size, len(text)):])
		}
	}
	return all
}
