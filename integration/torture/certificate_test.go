package torture

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"time"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What can happen to certificates, and to the CA that issues them. The proxy is one that looks after them every second, so
// that certificates can be issued that live for half a minute.

const certificateLife = 30 * time.Second

func certificateDays() []*badDay {
	return []*badDay{
		{
			name: "the certificate's files are replaced", quick: true, open: ownCertificate, strike: certificateReplaced,
			expect: "new connections get the new one, nothing that runs notices",
		},
		{
			name: "the certificate's files are spoilt", open: ownCertificate, strike: certificateSpoilt,
			expect: "the log says why, new connections get the old one, nothing that runs notices; good files are taken again",
		},
		{
			name: "the CA is down and a certificate near its end", once: true, open: withAuthority,
			strike: authorityDown,
			expect: "the log says why and that it is tried again, the old one stays in use, nothing that runs notices; when the CA is back, the certificate is renewed",
		},
		{
			name: "the CA hangs and a certificate is near its end", once: true, open: withAuthority,
			strike: authorityHangs,
			expect: "the old one stays in use, nothing that runs notices; when the CA goes on, the certificate is renewed",
		},
	}
}

func ownCertificate(s *scene) {
	folder := s.TempDir()
	s.files.certificate, s.files.privateKey = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	s.must(harness.WriteCertificate(s.files.certificate, s.files.privateKey, time.Now().Add(time.Hour)))
	s.openProxy(harness.ProxyOptions{Arguments: []string{"--tls.certFile=" + s.files.certificate, "--tls.keyFile=" + s.files.privateKey}})
}

func (s *scene) certificate(name string) *x509.Certificate {
	return harness.Certificate(s.proxy.Address, name)
}

// awaitOther waits until new connections get another certificate.
func (s *scene) awaitOther(before *x509.Certificate, name string) {
	s.Helper()
	if !harness.Eventually(func() bool { now := s.certificate(name); return now != nil && !now.Equal(before) }) {
		s.Fatal("the certificate stays the same")
	}
}

func certificateReplaced(s *scene) {
	tr := s.begin()
	defer tr.end()
	before := s.certificate("localhost")
	s.must(harness.WriteCertificate(s.files.certificate, s.files.privateKey, time.Now().Add(time.Hour)))
	s.awaitOther(before, "localhost")
	tr.wantWhole()
	tr.wantSocket()
}

func certificateSpoilt(s *scene) {
	for _, spoil := range []func(){
		func() { s.must(os.Truncate(s.files.certificate, 100)) },
		func() { s.must(os.Remove(s.files.privateKey)); s.must(os.Mkdir(s.files.privateKey, 0o755)) },
		func() { s.must(os.Remove(s.files.certificate)); s.must(os.Symlink("/dev/null", s.files.certificate)) },
	} {
		tr := s.begin()
		before := s.certificate("localhost")
		mark := s.proxy.Log.Mark()
		spoil()
		if !harness.Eventually(func() bool { s.certificate("localhost"); return len(s.proxy.Log.Since(mark)) > 0 }) {
			s.Error("the log says nothing")
		}
		s.proxy.Log.Await(s, mark, "the certificate stays as it was")
		if now := s.certificate("localhost"); now == nil || !now.Equal(before) {
			s.Error("the certificate did not stay")
		}
		tr.wantWhole()
		tr.wantSocket()
		tr.end()
		s.must(os.RemoveAll(s.files.certificate))
		s.must(os.RemoveAll(s.files.privateKey))
		s.must(harness.WriteCertificate(s.files.certificate, s.files.privateKey, time.Now().Add(time.Hour)))
		s.awaitOther(before, "localhost")
	}
}

func withAuthority(s *scene) {
	s.ca = harness.StartAuthority(s, certificateLife)
	s.openFor(s.ca.Options(s.TempDir()))
}

// openFor starts a proxy that is asked for the domain.
func (s *scene) openFor(options harness.ProxyOptions) {
	s.openProxy(options)
	for _, protocol := range harness.Protocols {
		s.clients[protocol] = harness.NewClient(s, protocol, harness.ClientOptions{Address: s.proxy.Address, Host: harness.Domain, Key: harness.Key})
	}
	s.awaitCertificate()
}

func (s *scene) awaitCertificate() {
	s.Helper()
	if !harness.Eventually(func() bool { return s.certificate(harness.Domain) != nil }) {
		s.Fatal("there is no certificate")
	}
}

func authorityDown(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.ca.Down()
	mark := s.proxy.Log.Mark()
	s.proxy.Log.Await(s, mark, "connection refused")
	s.proxy.Log.Await(s, mark, "level=ERROR")
	s.mendAfterExpiry(func() { s.ca.Up(s) })
	tr.wantWhole()
	tr.wantSocket()
}

func authorityHangs(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.ca.Hang(s)
	s.mendAfterExpiry(func() { s.ca.Continue(s) })
	tr.wantWhole()
	tr.wantSocket()
}

// mendAfterExpiry lets the old certificate come to its end before the CA is back.
func (s *scene) mendAfterExpiry(mend func()) {
	s.Helper()
	before := s.certificate(harness.Domain)
	if before == nil {
		s.Fatal("there is no certificate")
	}
	time.Sleep(time.Until(before.NotAfter))
	if now := s.certificate(harness.Domain); now == nil || !now.Equal(before) {
		s.Error("the certificate did not stay")
	}
	s.wantStatus(harness.Key, 200)
	mend()
	s.awaitOther(before, harness.Domain)
}
