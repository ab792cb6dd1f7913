package differential

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// generator makes requests. The same seed and number make the same request.
type generator struct {
	seed       uint64
	operations []operation
	entries    int
}

func (g generator) request(p protocol, number uint64) request {
	m := maker{rand.New(rand.NewPCG(g.seed, number)), g}
	r := request{protocol: p, site: m.site(), entry: m.IntN(g.entries), method: "GET"}
	switch m.IntN(20) {
	case 0, 1:
		r.kind = withKey
		m.anyOperation(&r)
		m.plainCredentials(&r)
		r.fields = append(r.fields, field{"x-access-key", accessKey})
	case 2:
		r.kind, r.site = keyless, slices.IndexFunc(sites, func(s site) bool { return s.keyless })
		m.anyOperation(&r)
		m.plainCredentials(&r)
	case 3, 4:
		r.kind = regular
		m.publicOperation(&r)
		m.plainCredentials(&r)
	default:
		r.kind = mutated
		m.mutatedTarget(&r)
		m.mutatedFields(&r)
		m.mutatedBody(&r)
	}
	return r
}

type maker struct {
	*rand.Rand
	generator
}

// one returns one of the values.
func one[T any](m maker, values ...T) T {
	return values[m.IntN(len(values))]
}

// chance is true once in n times.
func (m maker) chance(n int) bool {
	return m.IntN(n) == 0
}

func (m maker) site() int {
	return one(m, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5)
}

const (
	someUUID  = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
	otherUUID = "9F2D8D4E-7F3B-4C52-8D0E-0D5C3B1F6A01"
)

func (m maker) token() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var b strings.Builder
	for range 12 + m.IntN(30) {
		b.WriteByte(letters[m.IntN(len(letters))])
	}
	return b.String()
}

// anyOperation chooses one of the API, with UUIDs for its parameters.
func (m maker) anyOperation(r *request) {
	o := m.operations[m.IntN(len(m.operations))]
	r.method, r.path = o.Method, parameter.ReplaceAllString(o.Path, someUUID)
	m.plainBody(r)
}

// publicOperation chooses one that the site opens, with the credential that it needs. If the site opens none, the next one that does is used.
func (m maker) publicOperation(r *request) {
	for len(sites[r.site].publicRoutes) == 0 {
		r.site = (r.site + 1) % len(sites)
	}
	public := publicOperations[one(m, sites[r.site].publicRoutes...)]
	name := one(m, slices.Sorted(maps.Keys(public))...)
	r.method, r.path, _ = strings.Cut(strings.ReplaceAll(name, "{}", someUUID), " ")
	switch public[name] {
	case link:
		m.place(r, one(m, linkPlaces...), m.token())
	case session:
		m.place(r, "query sessionKey", m.token())
	case nothing:
	}
	m.plainBody(r)
}

func (m maker) plainBody(r *request) {
	if r.method == "GET" && m.chance(5) {
		r.method = "HEAD"
	}
	if r.method == "POST" || r.method == "PUT" || r.method == "PATCH" {
		r.body, r.chunked = m.token(), m.chance(3)
	}
}

var linkPlaces = []string{"header x-immich-share-key", "query key", "header x-immich-share-slug", "query slug"}

// places are all where Immich looks for credentials.
var places = slices.Concat(linkPlaces, []string{
	"header x-immich-user-token", "header x-immich-session-token", "query sessionKey", "header authorization",
	"cookie immich_access_token", "header x-api-key", "query apiKey",
})

// plainCredentials adds some of Immich's, as its clients write them, and other headers, cookies and parameters.
func (m maker) plainCredentials(r *request) {
	for _, place := range places {
		// Two in the same place only occur in mutated requests.
		if m.chance(4) && !has(*r, place) {
			m.place(r, place, m.token())
		}
	}
	if m.chance(2) {
		m.place(r, "cookie immich_shared_link_token", m.token())
	}
	if m.chance(2) {
		m.place(r, "cookie immich_auth_type", "password")
	}
	if sites[r.site].browserLogin && m.chance(4) {
		m.place(r, "cookie "+sessionCookie, m.token())
	}
	if m.chance(2) {
		m.place(r, "query size", "preview")
	}
	if m.chance(3) {
		r.fields = append(r.fields, field{"user-agent", "Immich_Android_3.1.0"})
	}
}

func has(r request, place string) bool {
	where, name, _ := strings.Cut(place, " ")
	if where == "query" {
		return slices.ContainsFunc(r.query, func(q string) bool { return strings.HasPrefix(q, name+"=") })
	}
	return where == "header" && slices.ContainsFunc(r.fields, func(f field) bool { return f.name == name })
}

func (m maker) place(r *request, place, value string) {
	where, name, _ := strings.Cut(place, " ")
	switch {
	case where == "query":
		r.query = append(r.query, name+"="+value)
	case where == "cookie":
		addCookie(r, name+"="+value, "; ")
	case name == "authorization":
		r.fields = append(r.fields, field{name, "Bearer " + value})
	default:
		r.fields = append(r.fields, field{name, value})
	}
}

// addCookie appends a cookie; without a separator it gets its own header line.
func addCookie(r *request, cookie, separator string) {
	for i, f := range r.fields {
		if f.name == "cookie" && separator != "" {
			r.fields[i].value += separator + cookie
			return
		}
	}
	r.fields = append(r.fields, field{"cookie", cookie})
}
