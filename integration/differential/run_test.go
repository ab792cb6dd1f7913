package differential

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

var (
	duration = flag.Duration("for", 20*time.Second, "how long to send requests each way")
	seed     = flag.Uint64("seed", 0, "makes the same requests as the run that printed it")
	oneCase  = flag.Uint64("case", 0, "send only this one, of -seed")
)

// gateway is one way of running the middleware.
type gateway struct {
	name    string
	entries int // it has so many addresses for each site, with different settings
	at      func(site, entry int) (address, host string)
	log     *harness.Log
}

// finding is a request that Immich interprets as it must not, or that does not arrive as it must.
type finding struct {
	why  string
	read understanding
}

type run struct {
	t       *testing.T
	gateway gateway
	immich  *immich
	gen     generator

	mu       sync.Mutex
	findings map[string]finding            // by the mark of the request; "" if it has none any more
	expected map[string]chan understanding // who waits for a request to arrive
	arrived  map[kind]int
	statuses map[protocol]map[int]int

	attempts atomic.Uint64
	retries  atomic.Uint64 // of requests that should arrive
}

const workersPerProtocol = 2

// compare sends requests through the gateway that the function starts, for as long as the flag says.
func compare(t *testing.T, start func(t *testing.T, im *immich) gateway) {
	r := &run{
		t:        t,
		findings: map[string]finding{},
		expected: map[string]chan understanding{},
		arrived:  map[kind]int{},
		statuses: map[protocol]map[int]int{},
	}
	r.immich = startImmich(t, r.receive)
	r.gateway = start(t, r.immich)
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 40)
	}
	r.gen = generator{seed: *seed, operations: r.immich.Operations, entries: r.gateway.entries}
	if *oneCase > 0 {
		r.replay()
		return
	}
	r.sendKnown()
	sent := r.sendAll()
	if err := r.immich.fence(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: seed %d, %d requests in %s; reached Immich: %v; answers: %v; sent again: %d", r.gateway.name, *seed, sent, *duration, r.arrived, r.statuses, r.retries.Load())
	r.wantBothOutcomes()
	r.report()
	r.addToReport(sent)
}

// receive checks each request that has reached Immich by itself: it may be unclear which request of the client it is.
func (r *run) receive(u understanding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := kind(u.Mark[:min(1, len(u.Mark))])
	r.arrived[from]++
	why := leak(u, from)
	if why == "" && from != withKey && from != keyless {
		why = sites[u.Site].violation(u)
	}
	if why != "" {
		r.find(u.Mark, why, u)
	}
	if waiting := r.expected[u.Mark]; waiting != nil {
		delete(r.expected, u.Mark)
		waiting <- u
	}
}

// find keeps the first finding of a mark. The lock must be held.
func (r *run) find(mark, why string, u understanding) {
	if _, found := r.findings[mark]; !found {
		r.findings[mark] = finding{why, u}
	}
}

func (r *run) sendAll() (sent uint64) {
	var total atomic.Uint64
	var workers sync.WaitGroup
	end := time.Now().Add(*duration)
	for i, p := range protocols {
		for w := range workersPerProtocol {
			workers.Go(func() {
				s := sender{run: r, connections: map[string]connection{}}
				defer s.close()
				// A number belongs to one protocol, so that a replay needs nothing else.
				step := uint64(len(protocols) * workersPerProtocol)
				for number := uint64(w*len(protocols)+i) + step; time.Now().Before(end); number += step {
					s.send(r.gen.request(p, number), number)
					total.Add(1)
				}
			})
		}
	}
	workers.Wait()
	return total.Load()
}

// request is the one with the number.
func (r *run) request(number uint64) request {
	if number >= firstKnown {
		return r.known()[number-firstKnown]
	}
	return r.gen.request(protocolOf(number), number)
}

func protocolOf(number uint64) protocol {
	return protocols[number%uint64(len(protocols))]
}

// sender reuses connections, as clients do.
type sender struct {
	*run
	connections map[string]connection
}

func (s sender) close() {
	for _, c := range s.connections {
		c.close()
	}
}

func (s sender) send(q request, number uint64) {
	mark := fmt.Sprintf("%s%d", q.kind, number)
	if q.kind == mutated {
		s.exchange(q, mark)
		return
	}
	arrival := make(chan understanding, 1)
	s.mu.Lock()
	s.expected[mark] = arrival
	s.mu.Unlock()
	status, err := s.exchange(q, mark)
	for again := 0; again < 3 && (status == 0 || status == 400 || status == 502); again++ {
		// As clients do when a connection has ended. Immich also closes connections of the gateway when it refuses a mutated
		// request, and a gateway may notice that only at the next one.
		s.retries.Add(1)
		status, err = s.exchange(q, mark)
	}
	select {
	case u := <-arrival:
		s.wantUnderstood(q, mark, u)
		return
	case <-time.After(100 * time.Millisecond): // Immich reports before it answers
	}
	fence := s.immich.fence()
	select {
	case u := <-arrival:
		s.wantUnderstood(q, mark, u)
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.expected, mark)
		s.find(mark, fmt.Sprintf("it should arrive and does not: status %d", status), understanding{Site: q.site, Error: fmt.Sprint(err, fence)})
	}
}

// exchange sends the request, over an open connection if there is one.
func (s sender) exchange(q request, mark string) (status int, err error) {
	address, host := s.gateway.at(q.site, q.entry)
	key := fmt.Sprint(q.protocol, q.local(), address, q.kind == mutated) // mutated requests may leave a connection in any state
	c := s.connections[key]
	if c == nil {
		if c, err = dial(q.protocol, q.local(), address); err != nil {
			s.count(q.protocol, 0)
			return 0, err
		}
		s.connections[key] = c
	}
	status, err = c.exchange(q, host, mark)
	if err != nil {
		c.close()
		delete(s.connections, key)
	}
	s.count(q.protocol, status)
	return status, err
}

func (r *run) count(p protocol, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statuses[p] == nil {
		r.statuses[p] = map[int]int{}
	}
	r.statuses[p][status]++
}

// wantUnderstood requires that Immich reads what a regular client has sent: all of it with a key; without one, the credential
// of the public route.
func (s sender) wantUnderstood(q request, mark string, u understanding) {
	why := ""
	written, cookies := q.written()
	delete(cookies, sessionCookie)
	if q.kind == regular {
		may := sites[u.Site].allowed(u)
		written = slices.DeleteFunc(written, func(c credential) bool {
			return !may.carry(c)
		})
		if may.requires && (len(written) == 0 || u.took() != written[0]) {
			why = fmt.Sprintf("Immich should take %v", written)
		}
		delete(cookies, "immich_access_token")
	} else if !slices.Equal(written, u.Credentials) {
		why = fmt.Sprintf("Immich should read %v", written)
	}
	for name, value := range cookies {
		if u.Cookies[name] != value {
			why = "the cookie " + name + " is missing"
		}
	}
	if u.Site != q.site || u.Error != "" || len(u.Operations) == 0 {
		why = "it should reach site " + sites[q.site].name + " and an operation of the API"
	}
	if why != "" {
		s.mu.Lock()
		s.find(mark, why, u)
		s.mu.Unlock()
	}
}

// written returns the credentials and the cookies of a plain request, in the order in which Immich looks for them.
func (r request) written() (credentials []credential, cookies map[string]string) {
	values := map[string]string{}
	cookies = map[string]string{}
	for _, f := range r.fields {
		values["header "+f.name] = strings.TrimPrefix(f.value, "Bearer ")
		if f.name != "cookie" {
			continue
		}
		for _, cookie := range strings.Split(f.value, "; ") {
			name, value, _ := strings.Cut(cookie, "=")
			cookies[name], values["cookie "+name] = value, value
		}
	}
	for _, pair := range r.query {
		name, value, _ := strings.Cut(pair, "=")
		values["query "+name] = value
	}
	for _, place := range places {
		if values[place] != "" {
			credentials = append(credentials, credential{place, values[place]})
		}
	}
	return credentials, cookies
}

// wantBothOutcomes requires that some requests are accepted and some denied: otherwise the comparison would prove nothing.
func (r *run) wantBothOutcomes() {
	for _, k := range []kind{mutated, regular, withKey, keyless} {
		if r.arrived[k] == 0 {
			r.t.Errorf("no request of kind %s has reached Immich", k)
		}
	}
	for _, p := range protocols {
		if r.statuses[p][200] == 0 || r.statuses[p][403] == 0 {
			r.t.Errorf("%s: the answers %v are one-sided", p, r.statuses[p])
		}
	}
}

func (r *run) replay() {
	q := r.request(*oneCase)
	f, failed := r.try(q)
	r.t.Logf("%s", q)
	if failed {
		r.explain(fmt.Sprintf("%s%d", q.kind, *oneCase), f)
	}
}

// try sends one request on a separate connection, while no others are sent.
func (r *run) try(q request) (f finding, failed bool) {
	s := sender{run: r, connections: map[string]connection{}}
	defer s.close()
	number := 1<<62 + r.attempts.Add(1)
	r.mu.Lock()
	delete(r.findings, "")
	r.mu.Unlock()
	s.send(q, number)
	if err := r.immich.fence(); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, mark := range []string{fmt.Sprintf("%s%d", q.kind, number), ""} {
		if f, failed = r.findings[mark]; failed {
			return f, true
		}
	}
	return finding{}, false
}
