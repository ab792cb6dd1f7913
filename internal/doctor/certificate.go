package doctor

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	areaCertificate = "Certificate"
	renewalMargin   = 14 * 24 * time.Hour // most certificates live for 90 days, and are renewed 30 days before their end
	weakRSA         = 2048
	issuerLimit     = 64 << 10
)

// checkCertificate checks the chain as a phone does, at each address.
func (e *examination) checkCertificate(ctx context.Context) {
	if !e.target.isTLS() {
		e.judgePlain()
		return
	}
	var first *x509.Certificate
	for _, address := range e.addresses {
		state, err := e.handshake(ctx, address, e.target.host)
		if err != nil {
			e.failedStep = true
			e.add(Finding{
				ID: "tls-failed", Level: Problem, Area: areaCertificate,
				Title:  "There is no TLS on port " + e.target.port,
				Seen:   fmt.Sprintf("%s: %s", address, inWords(err)),
				Breaks: "The app and browsers can't connect.",
			})
			return
		}
		leaf := state.PeerCertificates[0]
		switch {
		case first == nil:
			first = leaf
			e.judgeChain(ctx, state.PeerCertificates)
		case !first.Equal(leaf):
			e.add(Finding{
				ID: "certificate-differs", Level: Warning, Area: areaCertificate,
				Title:  "The addresses have different certificates",
				Seen:   fmt.Sprintf("%s has one of %s, until %s", address, issuerName(leaf), leaf.NotAfter.Format(time.DateOnly)),
				Breaks: "There may be another server at one of them.",
			})
		}
	}
}

func (e *examination) judgePlain() {
	f := Finding{
		ID: "tls-missing", Level: Warning, Area: areaCertificate,
		Title:  "This address has no encryption",
		Seen:   e.target.origin(),
		Breaks: "Passwords, photos and the access key can be read on the way. The key is sent only with --insecure.",
	}
	for _, address := range e.addresses {
		if ip := net.ParseIP(address); ip != nil && !ip.IsPrivate() && !ip.IsLoopback() {
			f.Level = Problem
		}
	}
	e.add(f)
}

func (e *examination) handshake(ctx context.Context, address, name string) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	config := unchecked(e.target, "h2", "http/1.1")
	config.ServerName = name
	config.MinVersion = tls.VersionTLS12 // what phones ask for
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", net.JoinHostPort(address, e.target.port))
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}

// judgeChain adds one finding about the chain: the defect because of which a phone would reject it, or that there is none.
func (e *examination) judgeChain(ctx context.Context, chain []*x509.Certificate) {
	leaf := chain[0]
	err := e.verify(leaf, chain[1:], time.Now())
	if err == nil {
		e.trusted = true
		e.judgeGoodChain(leaf)
		return
	}
	f := e.chainFault(ctx, chain, err)
	f.Level, f.Area = Problem, areaCertificate
	e.add(f)
	if e.Key != "" && !e.Insecure {
		e.add(Finding{
			ID: "key-withheld", Level: Skipped, Area: areaKey,
			Seen: "the key is not sent without a valid certificate, unless with --insecure",
		})
	}
}

func (e *examination) verify(leaf *x509.Certificate, intermediates []*x509.Certificate, at time.Time) error {
	pool := x509.NewCertPool()
	for _, certificate := range intermediates {
		pool.AddCert(certificate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: e.target.host, Roots: e.Roots, Intermediates: pool, CurrentTime: at})
	return err
}

// chainFault determines the defect. The quoted messages are those of Android, then of iOS.
func (e *examination) chainFault(ctx context.Context, chain []*x509.Certificate, err error) Finding {
	leaf := chain[0]
	now := time.Now()
	var wrongName x509.HostnameError
	switch {
	case now.After(leaf.NotAfter):
		return Finding{
			ID:    "certificate-expired",
			Title: "The certificate expired on " + leaf.NotAfter.Format(time.DateOnly),
			Seen:  fmt.Sprintf("for %s, by %s", names(leaf), issuerName(leaf)),
			Breaks: `The app can't connect: "certificate has expired", or "The certificate for this server is invalid". ` +
				"Renewal has failed for some time.",
		}
	case now.Before(leaf.NotBefore):
		return Finding{
			ID:     "certificate-early",
			Title:  "The certificate is not valid before " + leaf.NotBefore.Format(time.DateOnly),
			Seen:   "a clock is wrong, here or where the certificate was made",
			Breaks: "The app can't connect.",
		}
	case errors.As(err, &wrongName):
		return Finding{
			ID:     "certificate-name",
			Title:  "The certificate is for another name",
			Seen:   fmt.Sprintf("for %s, not %s", names(leaf), e.target.host),
			Breaks: `The app can't connect: "Hostname mismatch", or "The certificate for this server is invalid".`,
		}
	case isSelfSigned(leaf):
		return Finding{
			ID:    "certificate-self-signed",
			Title: "The certificate is self-signed",
			Seen:  "made by " + issuerName(leaf),
			Breaks: `The app says "self signed certificate", or "The certificate for this server is invalid", unless it is told to allow ` +
				"such certificates before login; videos often fail even then.",
		}
	case e.isIncomplete(ctx, chain):
		return Finding{
			ID:    "certificate-chain",
			Title: "The certificate's chain is incomplete",
			Seen:  fmt.Sprintf("%s sent, without the intermediate %q", plural(len(chain), "certificate"), chain[len(chain)-1].Issuer.CommonName),
			Breaks: `Browsers on a computer often connect, but the app does not:  "unable to get local issuer certificate", ` +
				`or "The certificate for this server is invalid".`,
		}
	default:
		return Finding{
			ID:     "certificate-untrusted",
			Title:  "Phones do not know who issued the certificate",
			Seen:   "issued by " + issuerName(chain[len(chain)-1]),
			Breaks: `The app can't connect: "unable to get local issuer certificate", or "The certificate for this server is invalid".`,
		}
	}
}

func (e *examination) judgeGoodChain(leaf *x509.Certificate) {
	left := time.Until(leaf.NotAfter)
	seen := fmt.Sprintf("%s, by %s, %s left", names(leaf), issuerName(leaf), plural(int(left.Hours()/24), "day"))
	// Some certificates are valid for six days only, so the margin is relative to that.
	if left < min(renewalMargin, leaf.NotAfter.Sub(leaf.NotBefore)/6) {
		e.add(Finding{
			ID: "certificate-expiring", Level: Warning, Area: areaCertificate,
			Title:  "The certificate ends soon",
			Seen:   seen,
			Breaks: "It should have been renewed by now. When it ends, nothing can connect.",
		})
		return
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < weakRSA {
		e.add(Finding{
			ID: "certificate-weak", Level: Problem, Area: areaCertificate,
			Title:  fmt.Sprintf("The certificate's key is too short (RSA, %d bits)", key.N.BitLen()),
			Seen:   seen,
			Breaks: "iOS refuses it.",
		})
		return
	}
	e.passed("certificate", areaCertificate, seen)
}

// isIncomplete reports whether an intermediate is missing. Certificates contain the URL of their issuer's.
func (e *examination) isIncomplete(ctx context.Context, chain []*x509.Certificate) bool {
	last := chain[len(chain)-1]
	if isSelfSigned(last) || len(last.IssuingCertificateURL) == 0 {
		return false
	}
	issuer, err := fetchIssuer(ctx, last.IssuingCertificateURL[0])
	if err != nil {
		return len(chain) == 1 // public authorities always have an intermediate
	}
	return e.verify(chain[0], append(chain[1:len(chain):len(chain)], issuer), time.Now()) == nil
}

func fetchIssuer(ctx context.Context, url string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	der, err := io.ReadAll(io.LimitReader(response.Body, issuerLimit))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func isSelfSigned(c *x509.Certificate) bool {
	return c.Subject.String() == c.Issuer.String() && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func issuerName(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" && len(c.Issuer.Organization) > 0 && len(c.Issuer.CommonName) < len("R11")+2 {
		return c.Issuer.Organization[0] + " " + c.Issuer.CommonName // "Let's Encrypt R11"
	}
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return c.Issuer.String()
}

func names(c *x509.Certificate) string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return fmt.Sprintf("%q, without names that phones check", c.Subject.CommonName)
	}
	if len(all) > 3 {
		all = append(all[:3], "…")
	}
	return strings.Join(all, ", ")
}
