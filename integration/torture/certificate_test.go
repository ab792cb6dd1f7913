package torture

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// Failures of certificates, and of the CA that issues them. The proxy checks them every second, so that certificates can be
// valid for half a minute.

const certificateLifetime = 30 * time.Second

func certificateScenarios() []*scenario {
	return []*scenario{
		{
			name: "the certificate's files are replaced", quick: true, setUp: certificateFiles, inject: certificateReplaced,
			expect: "new connections get the new one, running transfers are not affected",
		},
		{
			name: "the certificate's files are damaged", setUp: certificateFiles, inject: certificateDamaged,
			expect: "the log says why, new connections get the old one, running transfers are not affected; valid files are read again",
		},
		{
			name: "the CA is down and a certificate is about to expire", once: true, setUp: withCA,
			inject: caDown,
			expect: "the log says why and when it tries again, the old one stays in use, running transfers are not affected; when the CA is back, the certificate is renewed",
		},
		{
			name: "the CA hangs and a certificate is about to expire", once: true, setUp: withCA,
			inject: caHangs,
			expect: "the old one stays in use, running transfers are not affected; when the CA continues, the certificate is renewed",
		},
	}
}

func certificateFiles(s *testRun) {
	folder := s.TempDir()
	s.files.certificate, s.files.privateKey = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	harness.WriteCertificate(s, s.files.certificate, s.files.privateKey)
	s.startProxy(testbed.ProxyOptions{Arguments: []string{"--tls.certFile=" + s.files.certificate, "--tls.keyFile=" + s.files.privateKey}})
}

func (s *testRun) certificate(name string) *x509.Certificate {
	return harness.Certificate(s.proxy.Address, name)
}

// awaitOtherCertificate waits until new connections get another certificate.
func (s *testRun) awaitOtherCertificate(before *x509.Certificate, name string) {
	s.Helper()
	if !harness.Eventually(func() bool { now := s.certificate(name); return now != nil && !now.Equal(before) }) {
		s.Fatal("the certificate does not change")
	}
}

func certificateReplaced(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	before := s.certificate("localhost")
	harness.WriteCertificate(s, s.files.certificate, s.files.privateKey)
	s.awaitOtherCertificate(before, "localhost")
	tr.wantComplete()
	tr.wantSocket()
}

func certificateDamaged(s *testRun) {
	for _, damage := range []func(){
		func() { s.must(os.Truncate(s.files.certificate, 100)) },
		func() { s.must(os.Remove(s.files.privateKey)); s.must(os.Mkdir(s.files.privateKey, 0o755)) },
		func() { s.must(os.Remove(s.files.certificate)); s.must(os.Symlink("/dev/null", s.files.certificate)) },
	} {
		tr := s.startTraffic()
		before := s.certificate("localhost")
		mark := s.proxy.Log.Mark()
		damage()
		if !harness.Eventually(func() bool { s.certificate("localhost"); return len(s.proxy.Log.Since(mark)) > 0 }) {
			s.Error("the log is empty")
		}
		s.proxy.Log.Await(s, mark, "the certificate stays as it was")
		if now := s.certificate("localhost"); now == nil || !now.Equal(before) {
			s.Error("the certificate has changed")
		}
		tr.wantComplete()
		tr.wantSocket()
		tr.stop()
		s.must(os.RemoveAll(s.files.certificate))
		s.must(os.RemoveAll(s.files.privateKey))
		harness.WriteCertificate(s, s.files.certificate, s.files.privateKey)
		s.awaitOtherCertificate(before, "localhost")
	}
}

func withCA(s *testRun) {
	s.ca = testbed.StartCA(s, certificateLifetime)
	s.startProxyWithDomain(s.ca.Options(s.TempDir()))
}

// startProxyWithDomain starts a proxy with a certificate for the domain.
func (s *testRun) startProxyWithDomain(options testbed.ProxyOptions) {
	s.startProxy(options)
	for _, protocol := range harness.Protocols {
		s.clients[protocol] = testbed.NewClient(s, protocol, testbed.ClientOptions{Address: s.proxy.Address, Host: harness.Domain, Key: testbed.Key})
	}
	s.awaitCertificate()
}

func (s *testRun) awaitCertificate() {
	s.Helper()
	if !harness.Eventually(func() bool { return s.certificate(harness.Domain) != nil }) {
		s.Fatal("there is no certificate")
	}
}

func caDown(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.ca.Down()
	mark := s.proxy.Log.Mark()
	s.proxy.Log.Await(s, mark, "connection refused")
	s.proxy.Log.Await(s, mark, "level=ERROR")
	s.repairAfterExpiry(func() { s.ca.Up(s) })
	tr.wantComplete()
	tr.wantSocket()
}

func caHangs(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.ca.Hang(s)
	s.repairAfterExpiry(func() { s.ca.Continue(s) })
	tr.wantComplete()
	tr.wantSocket()
}

// repairAfterExpiry lets the old certificate expire before the CA is back.
func (s *testRun) repairAfterExpiry(repair func()) {
	s.Helper()
	before := s.certificate(harness.Domain)
	if before == nil {
		s.Fatal("there is no certificate")
	}
	time.Sleep(time.Until(before.NotAfter))
	if now := s.certificate(harness.Domain); now == nil || !now.Equal(before) {
		s.Error("the certificate has changed")
	}
	s.wantStatus(testbed.Key, 200)
	repair()
	s.awaitOtherCertificate(before, harness.Domain)
}
