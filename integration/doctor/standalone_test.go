package doctor_test

import (
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/doctor"
)

// goodStandalone is our own proxy, one flag per line.
const goodStandalone = `
--listen.https=$ADDR
--listen.http=$HTTP
--tls.certFile=$CERT
--tls.keyFile=$TLSKEY
--upstreams=http://$UPSTREAM
--access.keys=phone:$KEY
`

func runStandalone(t *testing.T, s *site, config string) {
	t.Helper()
	s.runProxy(t, harness.Program{Path: harness.Binary(t), Arguments: strings.Fields(config)})
}

func TestStandalone(t *testing.T) {
	t.Parallel()
	const keys = "--access.keys="
	runFaults(t, doctor.ImmichAccess, goodStandalone, runStandalone, []fault{
		{name: "limit of 1 MB", edits: []string{keys, "--access.maxUploadSize=1m\n" + keys}, want: []string{"upload-limit"}},
		{name: "limit of 100 MB", edits: []string{keys, "--access.maxUploadSize=100m\n" + keys}, want: []string{"upload-limit"}},
		{name: "no HTTP/3", edits: []string{keys, "--http3=false\n" + keys}},
		{name: "Immich is down", edits: []string{"$UPSTREAM", "$DEAD"}, want: []string{"immich-down"}},
		{name: "the key is wrong", options: func(o *doctor.Options) { o.Key = "another-horse-battery" }, want: []string{"key-refused"}},
		{name: "the second wrong key locks out", edits: []string{keys, "--access.maxWrongKeys=2\n" + keys}},
		{
			name: "the key is wrong, and the second one locks out", edits: []string{keys, "--access.maxWrongKeys=2\n" + keys},
			options: func(o *doctor.Options) { o.Key = "another-horse-battery" }, want: []string{"key-refused"},
		},
		{name: "links are public", edits: []string{keys, "--access.publicRoutes=shared-links\n" + keys}},
		{name: "the ping is public", edits: []string{keys, "--access.publicRoutes=ping\n" + keys}},
		{name: "all routes are public", edits: []string{keys, "--access.publicRoutes=ping,well-known,oauth,shared-links,session-media\n" + keys}},
		{name: "browsers may log in", edits: []string{keys, "--access.browserLogin=true\n" + keys}},
		{name: "denied with 404", edits: []string{keys, "--access.denyStatus=404\n" + keys}, hidden: true},
		{name: "denied with 401", edits: []string{keys, "--access.denyStatus=401\n" + keys}},
		{name: "clients at home need no key", edits: []string{keys, "--access.keylessNetworks=192.168.0.0/16,10.0.0.0/8\n" + keys}},
		{
			name: "forwarding headers of every client are trusted", want: []string{"key-bypassed"},
			edits: []string{keys, "--access.keylessNetworks=192.168.0.0/16\n--access.trustedProxies=loopback\n" + keys},
		},
	})
}
