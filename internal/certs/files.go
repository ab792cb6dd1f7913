package certs

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

// lookInterval is short, since what renews a certificate may at once ask to see it.
const lookInterval = time.Second

// pair is a certificate in files. It looks at them when a client asks, so that nothing runs while nobody does.
type pair struct {
	files  config.TLS
	logger *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate // guarded by mu
	seen   [2]time.Time     // guarded by mu; when the files were changed
	looked time.Time        // guarded by mu
}

func openFiles(files config.TLS, logger *slog.Logger) (*Source, error) {
	p := &pair{files: files, logger: logger}
	p.seen = p.changed()
	cert, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, err
	}
	p.cert, p.looked = &cert, time.Now()
	return &Source{TLS: newTLS(p.get), Challenge: unchanged, Expiry: p.expiry}, nil
}

func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.looked) >= lookInterval {
		p.looked = now
		p.look()
	}
	return p.cert, nil
}

// look keeps the old certificate while the new files do not fit together, as between two writes; mu is held.
func (p *pair) look() {
	changed := p.changed()
	if changed == p.seen {
		return
	}
	p.seen = changed
	cert, err := tls.LoadX509KeyPair(p.files.CertFile, p.files.KeyFile)
	if err != nil {
		p.logger.Warn("the certificate stays as it was: its files have changed, and can't be used", "error", err)
		return
	}
	p.cert = &cert
	p.logger.Info("the certificate has changed", "file", p.files.CertFile, "expires", cert.Leaf.NotAfter)
}

func (p *pair) changed() (times [2]time.Time) {
	for i, name := range []string{p.files.CertFile, p.files.KeyFile} {
		if info, err := os.Stat(name); err == nil {
			times[i] = info.ModTime()
		}
	}
	return times
}

func (p *pair) expiry() map[string]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return expiryOf(p.cert.Leaf)
}
