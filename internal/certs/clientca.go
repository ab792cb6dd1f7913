package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/filewatch"
)

const (
	// mostChain and mostChainBytes bound what is verified: a client's certificate and those between it and the CA.
	mostChain      = 10
	mostChainBytes = 32 << 10
	// mostVerified is how many results are remembered, a few hundred bytes each.
	mostVerified = 1000
)

// ClientCA is tls.clientCA: it requests certificates from clients and verifies them. It verifies them for each request and not,
// as crypto/tls can, during the handshake. That would end the connection of a client whose certificate has expired or is of
// another CA, with an obscure error; here, the client gets a response, and may use a key instead. It would also accept a
// certificate for as long as a connection, or a resumed session, lasts.
type ClientCA struct {
	file   string
	logger *slog.Logger

	mu       sync.Mutex
	pool     *x509.CertPool                      // guarded by mu
	watch    *filewatch.Files                    // guarded by mu
	polled   time.Time                           // guarded by mu
	verified map[[sha256.Size]byte]*verification // guarded by mu; by what the client sent
}

// verification is the result of verifying a certificate.
type verification struct {
	chains [][]*x509.Certificate // nil if it is not valid
	until  time.Time             // when to verify it again
}

// OpenClientCA reads the file, and from then on each time that it has changed.
func OpenClientCA(file string, logger *slog.Logger) (*ClientCA, error) {
	c := &ClientCA{file: file, logger: logger, watch: filewatch.New(file), polled: time.Now()}
	certificates, err := config.ReadCertificates(file)
	if err != nil {
		return nil, err
	}
	c.use(certificates)
	return c, nil
}

// use drops what was verified by other CAs; mu is held.
func (c *ClientCA) use(certificates []*x509.Certificate) {
	c.pool = x509.NewCertPool()
	for _, certificate := range certificates {
		c.pool.AddCert(certificate)
	}
	c.verified = map[[sha256.Size]byte]*verification{}
}

// Request returns a configuration that requests a certificate of these CAs from clients. Browsers that have none do not prompt
// their users.
func (c *ClientCA) Request(server *tls.Config) *tls.Config {
	server = server.Clone()
	server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		asking := server.Clone()
		asking.GetConfigForClient = nil
		asking.ClientAuth, asking.ClientCAs = tls.RequestClientCert, c.cas()
		return asking, nil
	}
	return server
}

func (c *ClientCA) cas() *x509.CertPool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poll()
	return c.pool
}

// Handler verifies the certificate of each request. Next finds the result in VerifiedChains, as if TLS had done it.
func (c *ClientCA) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			state := *r.TLS // requests of one connection share it
			state.VerifiedChains = c.verify(state.PeerCertificates)
			r.TLS = &state
		}
		next.ServeHTTP(w, r)
	})
}

// verify returns nil for certificates of other CAs, and for those not valid now.
func (c *ClientCA) verify(sent []*x509.Certificate) [][]*x509.Certificate {
	key, small := digestOf(sent)
	if !small {
		return nil
	}
	now := time.Now()
	pool, known := c.find(key)
	if known == nil || !now.Before(known.until) {
		known = verifyAt(now, sent, pool)
		c.remember(key, pool, known)
	}
	return known.chains
}

func (c *ClientCA) find(key [sha256.Size]byte) (*x509.CertPool, *verification) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poll()
	return c.pool, c.verified[key]
}

func (c *ClientCA) remember(key [sha256.Size]byte, pool *x509.CertPool, v *verification) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pool != c.pool {
		return
	}
	if len(c.verified) >= mostVerified {
		clear(c.verified)
	}
	c.verified[key] = v
}

func digestOf(sent []*x509.Certificate) (digest [sha256.Size]byte, small bool) {
	hash, size := sha256.New(), 0
	for _, certificate := range sent {
		size += len(certificate.Raw)
		if size > mostChainBytes || len(sent) > mostChain {
			return digest, false
		}
		_, _ = hash.Write(certificate.Raw) // a hash never returns an error
	}
	return [sha256.Size]byte(hash.Sum(nil)), true
}

// verifyAt does what crypto/tls does with VerifyClientCertIfGiven.
func verifyAt(now time.Time, sent []*x509.Certificate, roots *x509.CertPool) *verification {
	between := x509.NewCertPool()
	for _, certificate := range sent[1:] {
		between.AddCert(certificate)
	}
	chains, err := sent[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return &verification{until: now.Add(time.Minute)} // it may become valid
	}
	until := chains[0][0].NotAfter
	for _, certificate := range chains[0] {
		if certificate.NotAfter.Before(until) {
			until = certificate.NotAfter
		}
	}
	return &verification{chains: chains, until: until}
}

// poll keeps the CAs while the changed file can't be used; mu is held.
func (c *ClientCA) poll() {
	now := time.Now()
	if now.Sub(c.polled) < pollInterval {
		return
	}
	c.polled = now
	if !c.watch.Changed() {
		return
	}
	certificates, err := config.ReadCertificates(c.file)
	if err != nil {
		c.logger.Warn("tls.clientCA stays as it was: its file has changed and can't be used", "error", err)
		return
	}
	c.use(certificates)
	c.logger.Info("tls.clientCA has changed", "file", c.file, "certificates", len(certificates))
}
