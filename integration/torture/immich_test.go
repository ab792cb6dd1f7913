package torture

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// Failures of Immich. All of them are tested with Traefik as well.

func immichScenarios() []*scenario {
	return []*scenario{
		{
			name: "Immich is killed", quick: true, inject: immichKilled,
			expect: "uploads get 502 at once, downloads are cut, the WebSocket ends; requests get 502 until Immich is back",
		},
		{
			name: "Immich hangs for two seconds", quick: true, inject: immichHangsBriefly,
			expect: "everything continues, and is complete",
		},
		{
			name: "Immich hangs for longer than timeouts.idle and timeouts.upstream", setUp: shortTimeouts, inject: immichHangs,
			expect: "uploads get 504, downloads are cut, the WebSocket ends, requests get 504; everything works when it continues",
		},
		{
			name: "Immich sends invalid answers", quick: true, inject: immichAnswersGarbage,
			expect: "502 to the client that made the request, and no other client is affected",
		},
		{
			name: "Immich closes the connection during an answer", quick: true, inject: immichClosesAnswers,
			expect: "the client sees an error, and no other client is affected",
		},
		{
			name: "Immich closes the connection during an upload", quick: true, inject: immichClosesUploads,
			expect: "502; what Immich has read is not sent to it again; no other client is affected",
		},
		{
			name: "Immich sends more than the answer", quick: true, inject: immichSendsMore,
			expect: "no client gets an answer that was not meant for it",
		},
	}
}

func immichKilled(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.immich.Kill()
	tr.wantRefused(soon, http.StatusBadGateway)
	tr.wantSocketEnded(soon)
	tr.wantCut(long)
	s.wantStatus(testbed.Key, http.StatusBadGateway)
	s.immich.Start(s)
	s.awaitStatus(testbed.Key, http.StatusOK)
}

func immichHangsBriefly(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.immich.Hang(s)
	time.Sleep(2 * time.Second)
	s.immich.Continue(s)
	tr.wantComplete()
	tr.wantSocket()
}

const shortTimeout = 3 * time.Second

// shortTimeouts starts a proxy with short timeouts.
func shortTimeouts(s *testRun) {
	s.startProxy(testbed.ProxyOptions{Arguments: []string{
		fmt.Sprintf("--timeouts.idle=%s", shortTimeout), fmt.Sprintf("--timeouts.upstream=%s", shortTimeout),
	}})
}

func immichHangs(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.immich.Hang(s)
	for _, u := range tr.uploads {
		u.Release()
	}
	tr.wantRefused(long, http.StatusGatewayTimeout)
	tr.wantCut(long)
	tr.wantSocketEnded(long)
	s.wantStatus(testbed.Key, http.StatusGatewayTimeout)
	s.immich.Continue(s)
	s.awaitStatus(testbed.Key, http.StatusOK)
}

func immichAnswersGarbage(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	for _, protocol := range harness.Protocols {
		for _, fault := range testbed.Garbage {
			if s.traefik != nil && fault == "status 099" {
				continue // Traefik itself panics, catches that, and closes the connection
			}
			o := s.clients[protocol].Get("/api/server/ping", fault, long)
			if !s.isFailure(o) {
				s.Errorf("%s, %s: %s", protocol, fault, o)
			}
			s.result.count(protocol, "request", outcomeOf(o))
		}
	}
	tr.wantComplete()
	tr.wantSocket()
}

// isFailure is true of a 502; Traefik answers 500 to an answer that it can't parse.
func (s *testRun) isFailure(o testbed.Outcome) bool {
	return o.Err == nil && (o.Status == http.StatusBadGateway || s.traefik != nil && o.Status == http.StatusInternalServerError)
}

func immichClosesAnswers(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	for _, protocol := range harness.Protocols {
		for _, fault := range testbed.Truncations {
			o := s.clients[protocol].Get("/api/assets/1/original", fault, long)
			if o.Err == nil && o.Status < http.StatusInternalServerError {
				s.Errorf("%s, %s: %s, %d bytes that look complete", protocol, fault, o, len(o.Body))
			}
			s.result.count(protocol, "request", outcomeOf(o))
		}
	}
	tr.wantComplete()
	tr.wantSocket()
}

func immichClosesUploads(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	for _, protocol := range harness.Protocols {
		for i, fault := range testbed.Abandonments {
			u := s.clients[protocol].Upload(s, testbed.UploadOptions{Size: uploadSize, Unknown: i%2 == 0, Fault: fault})
			if testbed.IsWhole(fault) {
				u.Release()
			}
			o := u.Outcome(s, soon)
			if !s.isFailure(o) {
				s.Errorf("%s, %s: %s", protocol, fault, o)
			}
			if n := s.immich.Count(s, u.Name, testbed.Arrived); n != 1 {
				s.Errorf("%s, %s: the upload arrived %d times", protocol, fault, n)
			}
			s.checkUpload(u, o)
		}
	}
	tr.wantComplete()
	tr.wantSocket()
}

func immichSendsMore(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	for _, protocol := range harness.Protocols {
		for _, fault := range testbed.Additions {
			const tries = 5
			for range tries {
				if o := s.clients[protocol].Get("/api/server/ping", fault, long); o.Err != nil || o.Body != "ok" {
					s.Errorf("%s, %s: %s %q", protocol, fault, o, o.Body)
				}
				o := s.clients[protocol].Get("/api/server/ping", "", long)
				if o.Status != http.StatusOK || !strings.Contains(o.Body, "pong") {
					s.Errorf("%s, after %s: %s %q", protocol, fault, o, o.Body)
				}
				s.result.count(protocol, "request", outcomeOf(o))
			}
		}
	}
	tr.wantComplete()
	tr.wantSocket()
}
