package route53

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/dnschallenge/sigv4"
)

// settings are the variables of lego's provider and of the SDK, with lego's defaults.
type settings struct {
	credentials sigv4.Credentials
	keySource   string // where they are from, for messages

	endpoint      string // URL of the API
	signingRegion string

	hostedZoneID string // empty: found by the name
	privateZone  bool

	ttl                int // of a new record, in seconds
	attempts           int // to send one request
	propagationTimeout time.Duration
	pollingInterval    time.Duration
	waitForChanges     bool
}

// SettingsError tells what is wrong with the environment variables. It holds no secret.
type SettingsError struct{ text string }

func (e *SettingsError) Error() string { return e.text }

// reader collects what is wrong.
type reader struct {
	getenv  func(name string) string
	refused []string
}

func (r *reader) refuse(format string, arguments ...any) {
	r.refused = append(r.refused, fmt.Sprintf(format, arguments...))
}

func readSettings(getenv func(name string) string) (settings, error) {
	r := &reader{getenv: getenv}
	s := settings{
		hostedZoneID:       r.zoneID("AWS_HOSTED_ZONE_ID"),
		privateZone:        r.boolean("AWS_PRIVATE_ZONE", false),
		ttl:                r.integer("AWS_TTL", 10, 0),
		attempts:           r.integer("AWS_MAX_RETRIES", 5, 1),
		propagationTimeout: r.seconds("AWS_PROPAGATION_TIMEOUT", 120),
		pollingInterval:    r.seconds("AWS_POLLING_INTERVAL", 4),
		waitForChanges:     r.boolean("AWS_WAIT_FOR_RECORD_SETS_CHANGED", true),
	}
	s.endpoint, s.signingRegion = Endpoint(getenv("AWS_REGION"))
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ROUTE_53"} { // the second one counts
		if endpoint := r.url(name); endpoint != "" {
			s.endpoint = endpoint
		}
	}
	s.credentials, s.keySource = r.credentials()
	if len(r.refused) > 0 {
		return settings{}, &SettingsError{strings.Join(r.refused, "; ")}
	}
	return s, nil
}

// Endpoint returns the URL of Route 53 for a region of AWS, and the region for which requests to it are signed. There is one endpoint for
// all regions, except in China, for the US government, and in the European Sovereign Cloud.
func Endpoint(region string) (endpoint, signingRegion string) {
	prefix, _, _ := strings.Cut(region, "-")
	switch {
	case prefix == "cn":
		return "https://route53.amazonaws.com.cn", "cn-northwest-1"
	case strings.HasPrefix(region, "us-gov-"):
		return "https://route53.us-gov.amazonaws.com", "us-gov-west-1"
	case prefix == "eusc":
		return "https://route53.amazonaws.eu", "eusc-de-east-1"
	default:
		return "https://route53.amazonaws.com", "us-east-1"
	}
}

var zoneIDs = regexp.MustCompile(`^[A-Z0-9]{1,32}$`)

func (r *reader) zoneID(name string) string {
	id := strings.TrimPrefix(r.getenv(name), "/hostedzone/")
	if id != "" && !zoneIDs.MatchString(id) {
		r.refuse("%s=%q: allowed is the ID of a hosted zone, such as Z11111112222222333333", name, id)
	}
	return id
}

func (r *reader) boolean(name string, byDefault bool) bool {
	text := r.getenv(name)
	if text == "" {
		return byDefault
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		r.refuse("%s=%q: allowed are true and false", name, text)
	}
	return value
}

func (r *reader) integer(name string, byDefault, least int) int {
	text := r.getenv(name)
	if text == "" {
		return byDefault
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < least || value > math.MaxInt32 {
		r.refuse("%s=%q: allowed is a whole number, %d or more", name, text, least)
	}
	return value
}

func (r *reader) seconds(name string, byDefault int) time.Duration {
	return time.Duration(r.integer(name, byDefault, 1)) * time.Second
}

func (r *reader) url(name string) string {
	text := strings.TrimSuffix(r.getenv(name), "/")
	if text == "" {
		return ""
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		r.refuse("%s: allowed is a URL such as https://route53.amazonaws.com", name)
	}
	return text
}
