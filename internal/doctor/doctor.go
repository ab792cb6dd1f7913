// Package doctor tests a deployment of Immich from outside, whatever proxy is in front of it, as Immich's apps use it.
//
// It changes nothing in Immich: whatever it sends is refused because it has no login. It sends at most one wrong access key,
// and the right one only over HTTPS with a valid certificate, unless Options.Insecure is set.
package doctor

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"time"
)

// DefaultKeyHeader is the header in which immichaccess expects the key.
const DefaultKeyHeader = "X-Access-Key"

const defaultSlowFor = 70 * time.Second

// Options say what to test, and with which credentials.
type Options struct {
	URL       string
	Key       string // access key; none tests what is reachable without one
	KeyHeader string // DefaultKeyHeader if empty

	Link      string         // a shared link of this Immich; enables the tests that need one
	ImmichLog io.Reader      // Immich's log as it is written; enables the test of the client's address, with one failed login
	HTTPURL   string         // address of the plain HTTP listener; port 80 of the same name if empty
	Roots     *x509.CertPool // certificate authorities; the system's if nil
	Insecure  bool           // send the key in spite of a bad certificate, or over plain HTTP
	Slow      bool           // test how long an upload may take
	SlowFor   time.Duration  // the length of that upload; 70 s if 0

	Progress func(step string) // called before each step; may be nil
}

// patient is how long a response may take: any deployment that is slower than that is broken.
const patient = 15 * time.Second

// examination is one run of the doctor.
type examination struct {
	Options
	target target
	report *Report

	clients     *clients
	traces      traces
	addresses   []string // that answered
	trusted     bool     // the certificate is valid, so the key may be sent
	refusal     *answer  // the response without a key; nil if it is not refused
	announcesH3 bool
	failedStep  bool // the remaining tests make no sense
}

// Run tests the deployment. An error is about the options only; all that is wrong with the deployment is in the report.
func Run(ctx context.Context, options Options) (*Report, error) {
	e, err := newExamination(options)
	if err != nil {
		return nil, err
	}
	defer e.clients.close()

	for _, step := range []struct {
		name string
		run  func(context.Context)
	}{
		{"name and addresses", e.checkName},
		{"certificate", e.checkCertificate},
		{"HTTP versions", e.checkVersions},
		{"redirect from HTTP", e.checkRedirect},
		{"Immich and the access key", e.checkImmich},
		{"access key", e.checkKey},
		{"requests of the app", e.checkRequests},
		{"WebSocket", e.checkWebSocket},
		{"server discovery", e.checkWellKnown},
		{"pictures and videos", e.checkMedia},
		{"early answers", e.checkEarlyAnswer},
		{"upload limit", e.checkUploadLimit},
		{"shared links", e.checkLinks},
		{"client address", e.checkClientAddress},
		{"long uploads", e.checkSlowUpload},
	} {
		if e.failedStep || ctx.Err() != nil {
			break
		}
		if e.Progress != nil {
			e.Progress(step.name)
		}
		step.run(ctx)
	}
	if ctx.Err() != nil {
		e.add(Finding{ID: "interrupted", Level: Problem, Area: "Test", Title: "The test was interrupted before its end"})
	}

	e.report.finish(e.guessProxy(ctx), e.redact)
	return e.report, nil
}

func newExamination(options Options) (*examination, error) {
	if options.KeyHeader == "" {
		options.KeyHeader = DefaultKeyHeader
	}
	if options.SlowFor == 0 {
		options.SlowFor = defaultSlowFor
	}
	target, err := parseTarget(options.URL)
	if err != nil {
		return nil, err
	}
	if err := checkOptions(options, target); err != nil {
		return nil, err
	}

	e := &examination{Options: options, target: target, report: &Report{URL: target.String()}}
	e.clients = newClients(target)
	return e, nil
}

func (e *examination) add(f Finding) {
	e.report.Findings = append(e.report.Findings, f)
}

func (e *examination) passed(id, area, seen string) {
	e.add(Finding{ID: id, Level: Passed, Area: area, Seen: seen})
}

func (e *examination) skipped(id, area, why string) {
	e.add(Finding{ID: id, Level: Skipped, Area: area, Seen: why})
}

// mayUseKey reports whether there is a key, and a safe way to send it.
func (e *examination) mayUseKey() bool {
	return e.Key != "" && (e.trusted || e.Insecure)
}

// withKey adds the key, where one may be sent.
func (e *examination) withKey(header http.Header) http.Header {
	if header == nil {
		header = http.Header{}
	}
	if e.mayUseKey() {
		header.Set(e.KeyHeader, e.Key)
	}
	return header
}
