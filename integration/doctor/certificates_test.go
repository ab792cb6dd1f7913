package doctor_test

import (
	"net"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/doctor"
)

// TestCertificates needs no particular proxy: each sends the certificate that it is given.
func TestCertificates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		order   func(*order)
		unknown bool // phones do not trust the root
		key     bool // the key is sent nevertheless
		want    []string
	}{
		{name: "good", want: nil, key: true},
		{name: "expired", order: func(o *order) { o.until = time.Now().Add(-time.Minute) }, want: []string{"certificate-expired"}},
		{name: "expires soon", order: func(o *order) {
			o.until = time.Now().Add(5 * 24 * time.Hour)
			o.from = time.Now().Add(-85 * 24 * time.Hour)
		},
			want: []string{"certificate-expiring"}, key: true},
		{name: "short-lived and fresh", order: func(o *order) { o.until = time.Now().Add(6 * 24 * time.Hour) }, key: true},
		{name: "early", order: func(o *order) { o.from = time.Now().Add(time.Hour) }, want: []string{"certificate-early"}},
		{name: "another name", order: func(o *order) { o.ip = net.IPv4(127, 0, 0, 8) }, want: []string{"certificate-name"}},
		{name: "self-signed", order: func(o *order) { o.selfSigned = true }, want: []string{"certificate-self-signed"}},
		{name: "chain incomplete", order: func(o *order) { o.withoutIntermediate = true }, want: []string{"certificate-chain"}},
		{name: "unknown authority", unknown: true, want: []string{"certificate-untrusted"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			o := usual()
			if c.order != nil {
				c.order(&o)
			}
			issuer := authority(t)
			s.install(t, issuer.issue(t, o))
			if !c.unknown {
				s.roots = issuer.roots()
			}
			runNginx(t, s, s.fill(goodNginx))

			// Without a valid certificate the key is not sent, which ends the test, unless it is insecure.
			want := c.want
			if !c.key {
				want = append(want, "key-needed")
			}
			diagnose(t, s.examine(t, nil), doctor.Nginx, want...)
			diagnose(t, s.examine(t, func(o *doctor.Options) { o.Insecure = true }), doctor.Nginx, c.want...)
		})
	}
}
