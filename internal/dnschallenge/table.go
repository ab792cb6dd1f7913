package dnschallenge

import (
	"slices"
	"strings"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/providers/dns/acmedns"
	"github.com/go-acme/lego/v4/providers/dns/cloudflare"
	"github.com/go-acme/lego/v4/providers/dns/desec"
	"github.com/go-acme/lego/v4/providers/dns/digitalocean"
	"github.com/go-acme/lego/v4/providers/dns/duckdns"
	"github.com/go-acme/lego/v4/providers/dns/exec"
	"github.com/go-acme/lego/v4/providers/dns/gandiv5"
	"github.com/go-acme/lego/v4/providers/dns/hetzner"
	"github.com/go-acme/lego/v4/providers/dns/httpreq"
	"github.com/go-acme/lego/v4/providers/dns/inwx"
	"github.com/go-acme/lego/v4/providers/dns/ionos"
	"github.com/go-acme/lego/v4/providers/dns/ovh"
	"github.com/go-acme/lego/v4/providers/dns/porkbun"
	"github.com/go-acme/lego/v4/providers/dns/rfc2136"
	"github.com/immichaccess/immichaccess/internal/dnschallenge/route53"
)

// entry describes a DNS provider. Its environment variables are separated by blanks; a star marks those that hold a secret.
type entry struct {
	name   string // lego's
	title  string
	open   func() (challenge.Provider, error) // reads the environment
	prefix string                             // of lego's timeout variables; "" if it has none
	needs  string                             // variables that most users set
	takes  string                             // others that identify the user
}

// table is the list of DNS providers; to add one of lego's, add a line and run "make tidy licenses". All are lego's but route53.
var table = []entry{
	{"cloudflare", "Cloudflare", with(cloudflare.NewDNSProvider), "CLOUDFLARE", "*CF_DNS_API_TOKEN", "*CF_ZONE_API_TOKEN CF_API_EMAIL *CF_API_KEY *CLOUDFLARE_DNS_API_TOKEN *CLOUDFLARE_ZONE_API_TOKEN CLOUDFLARE_EMAIL *CLOUDFLARE_API_KEY"},
	{"desec", "deSEC", with(desec.NewDNSProvider), "DESEC", "*DESEC_TOKEN", ""},
	{"digitalocean", "DigitalOcean", with(digitalocean.NewDNSProvider), "DO", "*DO_AUTH_TOKEN", ""},
	{"duckdns", "DuckDNS", with(duckdns.NewDNSProvider), "DUCKDNS", "*DUCKDNS_TOKEN", ""},
	{"gandiv5", "Gandi", with(gandiv5.NewDNSProvider), "GANDIV5", "*GANDIV5_PERSONAL_ACCESS_TOKEN", "*GANDIV5_API_KEY"},
	{"hetzner", "Hetzner", with(hetzner.NewDNSProvider), "HETZNER", "*HETZNER_API_TOKEN", "*HETZNER_API_KEY"},
	{"inwx", "INWX", with(inwx.NewDNSProvider), "INWX", "INWX_USERNAME *INWX_PASSWORD", "*INWX_SHARED_SECRET"},
	{"ionos", "IONOS", with(ionos.NewDNSProvider), "IONOS", "*IONOS_API_KEY", ""},
	{"ovh", "OVH", with(ovh.NewDNSProvider), "OVH", "OVH_ENDPOINT *OVH_APPLICATION_KEY *OVH_APPLICATION_SECRET *OVH_CONSUMER_KEY", "*OVH_ACCESS_TOKEN OVH_CLIENT_ID *OVH_CLIENT_SECRET"},
	{"porkbun", "Porkbun", with(porkbun.NewDNSProvider), "PORKBUN", "*PORKBUN_API_KEY *PORKBUN_SECRET_API_KEY", ""},
	{"route53", "Amazon Route 53", with(newRoute53), "AWS", "AWS_ACCESS_KEY_ID *AWS_SECRET_ACCESS_KEY", "*AWS_SESSION_TOKEN AWS_PROFILE AWS_SHARED_CREDENTIALS_FILE AWS_REGION AWS_HOSTED_ZONE_ID AWS_PRIVATE_ZONE AWS_ENDPOINT_URL_ROUTE_53 AWS_ENDPOINT_URL"},
	{"rfc2136", "RFC 2136, dynamic updates: BIND, Knot, PowerDNS", with(rfc2136.NewDNSProvider), "RFC2136", "RFC2136_NAMESERVER RFC2136_TSIG_KEY *RFC2136_TSIG_SECRET RFC2136_TSIG_ALGORITHM", ""},
	{"acme-dns", "acme-dns", with(acmedns.NewDNSProvider), "", "ACME_DNS_API_BASE ACME_DNS_STORAGE_PATH", "ACME_DNS_STORAGE_BASE_URL"},
	{"httpreq", "your own web service", with(httpreq.NewDNSProvider), "HTTPREQ", "HTTPREQ_ENDPOINT", "HTTPREQ_MODE HTTPREQ_USERNAME *HTTPREQ_PASSWORD"},
	{"exec", "your own program", with(exec.NewDNSProvider), "EXEC", "EXEC_PATH", "EXEC_MODE"},
}

func with[P challenge.Provider](open func() (P, error)) func() (challenge.Provider, error) {
	return func() (challenge.Provider, error) { return open() }
}

func newRoute53() (*route53.Provider, error) {
	return route53.New(func(name string) string { value, _ := valueOf(name); return value })
}

// needed returns the names of the variables that most users set.
func (e entry) needed() []string {
	return strings.Fields(strings.ReplaceAll(e.needs, "*", ""))
}

// variables returns the names of all variables that the provider reads to identify its user.
func (e entry) variables() []string {
	return strings.Fields(strings.ReplaceAll(e.needs+" "+e.takes, "*", ""))
}

// secrets returns the names of those whose values must not be shown.
func (e entry) secrets() (names []string) {
	for _, variable := range strings.Fields(e.needs + " " + e.takes) {
		if name, secret := strings.CutPrefix(variable, "*"); secret {
			names = append(names, name)
		}
	}
	return names
}

// given returns the names of the secrets that are set.
func (e entry) given() []string {
	return slices.DeleteFunc(e.secrets(), func(name string) bool {
		value, _ := valueOf(name)
		return value == ""
	})
}
