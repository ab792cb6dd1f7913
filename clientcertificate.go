package immichaccess

import (
	"crypto/x509"
	"net/http"
	"strings"
	"time"
)

const (
	longestName   = 64 // characters of a common name (RFC 5280, appendix A.1)
	longestSerial = 40 // hex digits (RFC 5280, section 4.1.2.2)
)

// clientCertificates decides which client certificates are accepted in place of a key: those that TLS has verified. It checks
// them on every request, since a connection, or a resumed TLS session, may outlive its certificate.
type clientCertificates struct {
	forwarding     *forwarding
	revokedNames   map[string]bool
	revokedSerials map[string]bool // in lower-case hex, without leading zeros
}

// authorize returns the common name of the request's certificate, or why it is rejected.
func (c *clientCertificates) authorize(r *http.Request) (name string, denied *denial) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "", &denial{reason: noKey}
	}
	now := time.Now()
	if len(r.TLS.VerifiedChains) == 0 {
		if now.After(r.TLS.PeerCertificates[0].NotAfter) {
			return "", rejectCertificate("expired certificate", "")
		}
		return "", rejectCertificate("certificate of an unknown CA", "")
	}
	leaf := r.TLS.VerifiedChains[0][0]
	name = leaf.Subject.CommonName
	switch {
	case !isName(name) || len(name) > longestName:
		return "", rejectCertificate("certificate whose common name has other characters than letters, digits and ._-, or more than 64", "")
	case c.revokedNames[name] || c.revokedSerials[leaf.SerialNumber.Text(16)]:
		return "", rejectCertificate("revoked certificate", name)
	case !anyIsCurrent(r.TLS.VerifiedChains, now):
		return "", rejectCertificate("expired certificate", name)
	case c.forwarding.isProxy(r):
		return "", rejectCertificate("certificate of a trusted proxy, which is not the client's", name)
	}
	return name, nil
}

func rejectCertificate(reason, name string) *denial {
	return &denial{reason: reason, key: name, certificate: true}
}

func anyIsCurrent(chains [][]*x509.Certificate, now time.Time) bool {
	for _, chain := range chains {
		if isCurrent(chain, now) {
			return true
		}
	}
	return false
}

func isCurrent(chain []*x509.Certificate, now time.Time) bool {
	for _, certificate := range chain {
		if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
			return false
		}
	}
	return true
}

// parseRevoked reads common names and serial numbers. A text that could be either counts as both; at worst, that rejects one
// certificate too many.
func (c *clientCertificates) parseRevoked(texts []string, errs *problems) {
	for _, text := range texts {
		text = strings.TrimSpace(text)
		serial, isSerial := parseSerial(text)
		switch {
		case isSerial:
			c.revokedSerials[serial] = true
			c.revokedNames[text] = true
		case isName(text) && len(text) <= longestName && strings.Trim(text, hexDigits) != "":
			c.revokedNames[text] = true
		default:
			errs.add("revokedCertificates", "%q is neither a common name (letters, digits and ._-) nor a serial number (up to 40 hex digits, with or without colons; a fingerprint is not a serial number)", text)
		}
	}
}

const hexDigits = "0123456789abcdefABCDEF"

// parseSerial reads a serial number as openssl x509 shows it.
func parseSerial(text string) (serial string, ok bool) {
	digits := strings.TrimPrefix(strings.ToLower(strings.ReplaceAll(text, ":", "")), "0x")
	if digits == "" || len(digits) > longestSerial || strings.Trim(digits, hexDigits) != "" {
		return "", false
	}
	digits = strings.TrimLeft(digits, "0")
	return orDefault(digits, "0"), true
}
