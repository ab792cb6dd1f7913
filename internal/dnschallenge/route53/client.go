package route53

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	apiVersion = "/2013-04-01"
	inSync     = "INSYNC"

	requestTime   = 30 * time.Second
	largestAnswer = 1 << 20
)

// client sends the few requests to Route 53 that a challenge needs.
type client struct {
	settings
	http       *http.Client
	firstPause time.Duration // before the first retry; each later one is twice as long
}

func newClient(s settings) *client {
	unredirected := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // which would get the session token
	return &client{settings: s, http: &http.Client{Timeout: requestTime, CheckRedirect: unredirected}, firstPause: 400 * time.Millisecond}
}

type hostedZone struct {
	ID      string `xml:"Id"` // such as /hostedzone/Z111
	Name    string
	Private bool `xml:"Config>PrivateZone"`
}

func (z hostedZone) id() string {
	return strings.TrimPrefix(z.ID, "/hostedzone/")
}

// zonesNamed returns all hosted zones of that name; a public and some private ones may have the same.
func (c *client) zonesNamed(ctx context.Context, name string) ([]hostedZone, error) {
	var found []hostedZone
	for query := (url.Values{"dnsname": {name}}); ; {
		var page struct {
			HostedZones      []hostedZone `xml:"HostedZones>HostedZone"`
			IsTruncated      bool
			NextDNSName      string
			NextHostedZoneID string `xml:"NextHostedZoneId"`
		}
		if err := c.get(ctx, "/hostedzonesbyname", query, &page); err != nil {
			return nil, err
		}
		for _, zone := range page.HostedZones { // in the order of names, from the given one on
			if !sameName(zone.Name, name) {
				return found, nil
			}
			found = append(found, zone)
		}
		if !page.IsTruncated {
			return found, nil
		}
		query = url.Values{"dnsname": {page.NextDNSName}, "hostedzoneid": {page.NextHostedZoneID}}
	}
}

func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// textRecord is a TXT record of a zone; there is none without values.
type textRecord struct {
	name   string
	ttl    int      // in seconds
	values []string // in quotes
}

func (r textRecord) equals(other textRecord) bool {
	return r.ttl == other.ttl && slices.Equal(r.values, other.values)
}

type recordSet struct {
	Name          string
	Type          string
	SetIdentifier string  `xml:",omitempty"` // of one with a routing policy
	TTL           int     `xml:",omitempty"`
	Values        []value `xml:"ResourceRecords>ResourceRecord"`
}

type value struct {
	Text string `xml:"Value"`
}

func (r textRecord) set() recordSet {
	set := recordSet{Name: r.name, Type: "TXT", TTL: r.ttl}
	for _, text := range r.values {
		set.Values = append(set.Values, value{text})
	}
	return set
}

func (c *client) textRecord(ctx context.Context, zone, name string) (textRecord, error) {
	var page struct {
		RecordSets []recordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
	}
	query := url.Values{"name": {name}, "type": {"TXT"}, "maxitems": {"1"}}
	if err := c.get(ctx, "/hostedzone/"+zone+"/rrset", query, &page); err != nil {
		return textRecord{}, err
	}
	record := textRecord{name: name}
	for _, set := range page.RecordSets { // the first of that name and type, or the one after
		if !sameName(set.Name, name) || set.Type != "TXT" {
			continue
		}
		if set.SetIdentifier != "" || len(set.Values) == 0 {
			return textRecord{}, &failure{
				text:  fmt.Sprintf("the TXT record %s has a routing policy or is an alias", strings.TrimSuffix(name, ".")),
				check: "remove that record from the hosted zone " + zone,
			}
		}
		record.ttl = set.TTL
		for _, v := range set.Values {
			record.values = append(record.values, v.Text)
		}
	}
	return record, nil
}

type change struct {
	Action    string
	RecordSet recordSet `xml:"ResourceRecordSet"`
}

// changeInfo is in the answers to two requests.
type changeInfo struct {
	ID     string `xml:"ChangeInfo>Id"` // such as /change/C111
	Status string `xml:"ChangeInfo>Status"`
}

// replace puts a record in the place of the one that is there. If that has changed meanwhile, nothing happens, and the error has the code
// invalidChangeBatch; UPSERT would replace any.
func (c *client) replace(ctx context.Context, zone string, before, after textRecord) (changeID string, err error) {
	request := struct {
		XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ChangeResourceRecordSetsRequest"`
		Comment string   `xml:"ChangeBatch>Comment"`
		Changes []change `xml:"ChangeBatch>Changes>Change"`
	}{Comment: "ACME challenge, by immichaccess"}
	if len(before.values) > 0 {
		request.Changes = append(request.Changes, change{"DELETE", before.set()})
	}
	if len(after.values) > 0 {
		request.Changes = append(request.Changes, change{"CREATE", after.set()})
	}
	body, err := xml.Marshal(request)
	if err != nil {
		return "", err
	}
	var answer changeInfo
	err = c.send(ctx, http.MethodPost, "/hostedzone/"+zone+"/rrset", body, &answer)
	return strings.TrimPrefix(answer.ID, "/change/"), err
}

// changeStatus returns PENDING or INSYNC.
func (c *client) changeStatus(ctx context.Context, changeID string) (string, error) {
	var answer changeInfo
	err := c.get(ctx, "/change/"+changeID, nil, &answer)
	return answer.Status, err
}

func (c *client) get(ctx context.Context, path string, query url.Values, answer any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.send(ctx, http.MethodGet, path, nil, answer)
}

// send repeats a request that AWS was too busy for, with growing pauses: Route 53 allows an account five requests a second.
func (c *client) send(ctx context.Context, method, path string, body []byte, answer any) error {
	pause := c.firstPause
	for attempt := 1; ; attempt++ {
		err := c.sendOnce(ctx, method, path, body, answer)
		if attempt >= c.attempts || !isTemporary(err) {
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // spreads the requests, and is no secret
		case <-ctx.Done():
			return err
		}
		pause *= 2
	}
}

func (c *client) sendOnce(ctx context.Context, method, path string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.endpoint+apiVersion+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/xml")
	}
	c.credentials.Sign(request, body, "route53", c.signingRegion, time.Now())
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, largestAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return c.failureOf(response, content)
	}
	if err := xml.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("the answer of %s can't be read: %w", request.URL.Host, err)
	}
	return nil
}
