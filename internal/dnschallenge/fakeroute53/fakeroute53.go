// Package fakeroute53 imitates the API of Amazon Route 53, as far as tests of DNS-01 need it: hosted zones, record sets, transactional
// changes that are pending for a while, pages, throttling and errors.
package fakeroute53

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Server is an http.Handler. The fields must not change once it has requests.
type Server struct {
	// Verify refuses a request, such as one whose signature is wrong. Default: none is refused.
	Verify func(r *http.Request, body []byte) *Failure
	// Apply is told of each record set after a change; without values, it is gone. Calls do not overlap.
	Apply func(set RecordSet)
	// PageSize is how many hosted zones a page has at most. Default: 100, as in Route 53.
	PageSize int
	// Pending is how many times a change is said to be PENDING before it is INSYNC. Default: 0.
	Pending int

	mu       sync.Mutex
	zones    []zone         // guarded by mu
	sets     []RecordSet    // guarded by mu
	asked    map[string]int // guarded by mu; by a change's ID, how many times its status was
	failures []*Failure     // guarded by mu; for the next requests
	requests []string       // guarded by mu
}

type zone struct {
	ID      string `xml:"Id"`
	Name    string
	Private bool `xml:"Config>PrivateZone"`
}

// RecordSet holds the records of a name and type.
type RecordSet struct {
	ZoneID        string `xml:"-"`
	Name          string // ends with a dot
	Type          string
	SetIdentifier string `xml:",omitempty"`
	TTL           int
	Records       []Record `xml:"ResourceRecords>ResourceRecord"`
}

// Record is one of a set; a TXT record's value is in quotes.
type Record struct{ Value string }

// Values are those of the set's records.
func (s RecordSet) Values() (values []string) {
	for _, record := range s.Records {
		values = append(values, record.Value)
	}
	return values
}

// Failure is an answer that is an error.
type Failure struct {
	Status        int
	Code, Message string
	Date          string // the header, if not the time of the answer
}

// AddZone makes a hosted zone. The name has no dot at its end.
func (s *Server) AddZone(id, name string, private bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = append(s.zones, zone{"/hostedzone/" + id, name + ".", private})
	slices.SortFunc(s.zones, func(a, b zone) int { return cmp.Or(compareNames(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
}

// Set changes a record set as another program would.
func (s *Server) Set(zoneID, name string, ttl int, values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := RecordSet{ZoneID: zoneID, Name: name, Type: "TXT", TTL: ttl}
	for _, value := range values {
		set.Records = append(set.Records, Record{value})
	}
	s.put(set)
}

// Sets returns all record sets, sorted by name.
func (s *Server) Sets() []RecordSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sets)
}

// FailNext has the next requests answered with failures, one each; nil lets one pass.
func (s *Server) FailNext(failures ...*Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, failures...)
}

// Requests returns what was asked for so far: method, path and query.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	answer, failure := s.answer(r, body)
	if failure != nil {
		failure.write(w)
		return
	}
	write(w, http.StatusOK, answer)
}

func (s *Server) answer(r *http.Request, body []byte) (any, *Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	if len(s.failures) > 0 {
		failure := s.failures[0]
		s.failures = s.failures[1:]
		if failure != nil {
			return nil, failure
		}
	}
	if s.Verify != nil {
		if failure := s.Verify(r, body); failure != nil {
			return nil, failure
		}
	}
	path, _ := strings.CutPrefix(r.URL.Path, "/2013-04-01")
	switch parts := strings.Split(strings.Trim(path, "/"), "/"); {
	case r.Method == http.MethodGet && path == "/hostedzonesbyname":
		return s.listZones(r), nil
	case r.Method == http.MethodGet && len(parts) == 2 && parts[0] == "change":
		return s.changeStatus(parts[1])
	case len(parts) == 3 && parts[0] == "hostedzone" && parts[2] == "rrset":
		if !slices.ContainsFunc(s.zones, func(z zone) bool { return z.ID == "/hostedzone/"+parts[1] }) {
			return nil, &Failure{Status: http.StatusNotFound, Code: "NoSuchHostedZone", Message: "No hosted zone found with ID: " + parts[1]}
		}
		if r.Method == http.MethodPost {
			return s.change(parts[1], body)
		}
		return s.listSets(parts[1], r)
	}
	return nil, &Failure{Status: http.StatusNotFound, Code: "UnknownOperationException"}
}

type zonesPage struct {
	XMLName     xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ListHostedZonesByNameResponse"`
	Zones       []zone   `xml:"HostedZones>HostedZone"`
	IsTruncated bool
	NextName    string `xml:"NextDNSName,omitempty"`
	NextID      string `xml:"NextHostedZoneId,omitempty"`
	MaxItems    int
}

func (s *Server) listZones(r *http.Request) zonesPage {
	name, id := r.URL.Query().Get("dnsname"), "/hostedzone/"+r.URL.Query().Get("hostedzoneid")
	page := zonesPage{MaxItems: cmp.Or(s.PageSize, 100)}
	for _, z := range s.zones {
		switch order := cmp.Or(compareNames(z.Name, name), cmp.Compare(z.ID, id)); {
		case order < 0:
		case len(page.Zones) < page.MaxItems:
			page.Zones = append(page.Zones, z)
		default:
			page.IsTruncated, page.NextName, page.NextID = true, z.Name, strings.TrimPrefix(z.ID, "/hostedzone/")
			return page
		}
	}
	return page
}

type setsPage struct {
	XMLName  xml.Name    `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ListResourceRecordSetsResponse"`
	Sets     []RecordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
	MaxItems int
}

func (s *Server) listSets(zoneID string, r *http.Request) (any, *Failure) {
	query := r.URL.Query()
	most, err := strconv.Atoi(cmp.Or(query.Get("maxitems"), "300"))
	if err != nil {
		return nil, &Failure{Status: http.StatusBadRequest, Code: "InvalidInput"}
	}
	page := setsPage{MaxItems: most}
	for _, set := range s.sets {
		after := cmp.Or(compareNames(set.Name, query.Get("name")), cmp.Compare(set.Type, query.Get("type"))) >= 0
		if set.ZoneID == zoneID && after && len(page.Sets) < most {
			page.Sets = append(page.Sets, set)
		}
	}
	return page, nil
}

type changeAnswer struct {
	XMLName xml.Name
	ID      string `xml:"ChangeInfo>Id"`
	Status  string `xml:"ChangeInfo>Status"`
}

func (s *Server) changeStatus(id string) (any, *Failure) {
	asked, known := s.asked[id]
	if !known {
		return nil, &Failure{Status: http.StatusNotFound, Code: "NoSuchChange", Message: "Could not find resource with ID: " + id}
	}
	s.asked[id]++
	answer := changeAnswer{XMLName: xml.Name{Local: "GetChangeResponse"}, ID: "/change/" + id, Status: "INSYNC"}
	if asked < s.Pending {
		answer.Status = "PENDING"
	}
	return answer, nil
}

// change applies all changes of a request, or none.
func (s *Server) change(zoneID string, body []byte) (any, *Failure) {
	var request struct {
		XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ChangeResourceRecordSetsRequest"`
		Changes []struct {
			Action string
			Set    RecordSet `xml:"ResourceRecordSet"`
		} `xml:"ChangeBatch>Changes>Change"`
	}
	if err := xml.Unmarshal(body, &request); err != nil {
		return nil, &Failure{Status: http.StatusBadRequest, Code: "MalformedInput", Message: err.Error()}
	}
	before, changed := slices.Clone(s.sets), map[string]bool{}
	for _, change := range request.Changes {
		change.Set.ZoneID = zoneID
		changed[change.Set.Name] = true
		if problem := s.apply(change.Action, change.Set); problem != "" {
			s.sets = before
			return nil, &Failure{Status: http.StatusBadRequest, Code: "InvalidChangeBatch", Message: "[" + problem + "]"}
		}
	}
	if s.Apply != nil {
		for _, name := range slices.Sorted(maps.Keys(changed)) {
			set := RecordSet{ZoneID: zoneID, Name: name, Type: "TXT"}
			if i := s.find(set); i >= 0 {
				set = s.sets[i]
			}
			s.Apply(set)
		}
	}
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	id := fmt.Sprintf("C%d", len(s.asked)+1)
	s.asked[id] = 0
	return changeAnswer{xml.Name{Local: "ChangeResourceRecordSetsResponse"}, "/change/" + id, "PENDING"}, nil
}

func (s *Server) apply(action string, set RecordSet) (problem string) {
	set.Name = strings.TrimSuffix(set.Name, ".") + "."
	named := fmt.Sprintf("resource record set [name='%s', type='%s']", set.Name, set.Type)
	i := s.find(set)
	switch {
	case len(set.Records) == 0:
		return "Missing field 'ResourceRecords' in Change with [" + named + "]"
	case action == "DELETE" && i < 0:
		return "Tried to delete " + named + " but it was not found"
	case action == "DELETE" && (s.sets[i].TTL != set.TTL || !slices.Equal(s.sets[i].Records, set.Records)):
		return "Tried to delete " + named + " but the values provided do not match the current values"
	case action == "DELETE":
		s.sets = slices.Delete(slices.Clone(s.sets), i, i+1)
	case action == "CREATE" && i >= 0:
		return "Tried to create " + named + " but it already exists"
	case action == "CREATE" || action == "UPSERT":
		s.put(set)
	default:
		return "unknown action"
	}
	return ""
}

func (s *Server) find(set RecordSet) int {
	return slices.IndexFunc(s.sets, func(other RecordSet) bool {
		return other.ZoneID == set.ZoneID && other.Name == set.Name && other.Type == set.Type
	})
}

// put replaces a record set; without records, it is removed.
func (s *Server) put(set RecordSet) {
	sets := slices.Clone(s.sets)
	if i := s.find(set); i >= 0 {
		sets = slices.Delete(sets, i, i+1)
	}
	if len(set.Records) > 0 {
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b RecordSet) int { return cmp.Or(compareNames(a.Name, b.Name), cmp.Compare(a.Type, b.Type)) })
	s.sets = sets
}

// compareNames orders names as Route 53 does, by their labels from the last one on.
func compareNames(a, b string) int {
	return slices.Compare(reversed(a), reversed(b))
}

func reversed(name string) []string {
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	slices.Reverse(labels)
	return labels
}

func (f *Failure) write(w http.ResponseWriter) {
	if f.Date != "" {
		w.Header().Set("Date", f.Date)
	}
	write(w, f.Status, struct {
		XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ErrorResponse"`
		Type    string   `xml:"Error>Type"`
		Code    string   `xml:"Error>Code"`
		Message string   `xml:"Error>Message"`
	}{Type: "Sender", Code: f.Code, Message: f.Message})
}

func write(w http.ResponseWriter, status int, answer any) {
	text, err := xml.Marshal(answer)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), text...))
}
