package certs

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/filewatch"
)

// pollInterval is short, since a renewal script may check the new certificate right away.
const pollInterval = time.Second

// fileCertificate is a certificate in files, which are polled when a client connects: without connections, nothing runs.
type fileCertificate struct {
	files  config.TLS
	logger *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate // guarded by mu
	watch  *filewatch.Files // guarded by mu
	polled time.Time        // guarded by mu
}

func openFiles(files config.TLS, logger *slog.Logger) (*Source, error) {
	f := &fileCertificate{files: files, logger: logger, watch: filewatch.New(files.CertFile, files.KeyFile)}
	cert, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, err
	}
	f.cert, f.polled = &cert, time.Now()
	logCertificate(logger, cert.Leaf, files.CertFile)
	return &Source{TLS: newTLS(f.get), Challenge: unchanged, Expiry: f.expiry}, nil
}

func (f *fileCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.polled) >= pollInterval {
		f.polled = now
		f.poll()
	}
	return f.cert, nil
}

// poll keeps the old certificate while the new files do not fit together, as between two writes; mu is held.
func (f *fileCertificate) poll() {
	if !f.watch.Changed() {
		return
	}
	cert, err := tls.LoadX509KeyPair(f.files.CertFile, f.files.KeyFile)
	if err != nil {
		f.logger.Warn("the certificate stays as it was: its files have changed and can't be used", "error", err)
		return
	}
	f.cert = &cert
	f.logger.Info("the certificate has changed", "file", f.files.CertFile, "expires", cert.Leaf.NotAfter)
}

func (f *fileCertificate) expiry() map[string]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return expiryOf(f.cert.Leaf)
}
