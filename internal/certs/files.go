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

// fileCertificate is a certificate in files. It looks at them when a client asks, so that nothing runs while nobody does.
type fileCertificate struct {
	files  config.TLS
	logger *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate // guarded by mu
	seen   [2]time.Time     // guarded by mu; when the files were changed
	looked time.Time        // guarded by mu
}

func openFiles(files config.TLS, logger *slog.Logger) (*Source, error) {
	f := &fileCertificate{files: files, logger: logger}
	f.seen = f.changed()
	cert, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, err
	}
	f.cert, f.looked = &cert, time.Now()
	logCertificate(logger, cert.Leaf, files.CertFile)
	return &Source{TLS: newTLS(f.get), Challenge: noChallenge, Expiry: f.expiry}, nil
}

func (f *fileCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= lookInterval {
		f.looked = now
		f.look()
	}
	return f.cert, nil
}

// look keeps the old certificate while the new files do not fit together, as between two writes; mu is held.
func (f *fileCertificate) look() {
	changed := f.changed()
	if changed == f.seen {
		return
	}
	f.seen = changed
	cert, err := tls.LoadX509KeyPair(f.files.CertFile, f.files.KeyFile)
	if err != nil {
		f.logger.Warn("the certificate stays as it was: its files have changed, and can't be used", "error", err)
		return
	}
	f.cert = &cert
	f.logger.Info("the certificate has changed", "file", f.files.CertFile, "expires", cert.Leaf.NotAfter)
}

func (f *fileCertificate) changed() (times [2]time.Time) {
	for i, name := range []string{f.files.CertFile, f.files.KeyFile} {
		if info, err := os.Stat(name); err == nil {
			times[i] = info.ModTime()
		}
	}
	return times
}

func (f *fileCertificate) expiry() map[string]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return expiryOf(f.cert.Leaf)
}
