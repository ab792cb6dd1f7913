package torture

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What can happen to Immich. All of it can happen behind Traefik as well.

func immichDays() []*badDay {
	return []*badDay{
		{
			name: "Immich is killed", quick: true, strike: immichKilled,
			expect: "uploads get 502 at once, downloads are cut, the WebSocket ends; requests get 502 until Immich is back",
		},
		{
			name: "Immich hangs for two seconds", quick: true, strike: immichHangsBriefly,
			expect: "everything goes on, and is whole",
		},
		{
			name: "Immich hangs for longer than timeouts.idle and timeouts.upstream", open: impatient, strike: immichHangs,
			expect: "uploads get 504, downloads are cut, the WebSocket ends, requests get 504; all is well when it goes on",
		},
		{
			name: "Immich answers garbage", quick: true, strike: immichAnswersGarbage,
			expect: "502 to whom it was meant for, and nobody else notices",
		},
		{
			name: "Immich breaks answers off", quick: true, strike: immichTruncates,
			expect: "the client sees an error, and nobody else notices",
		},
		{
			name: "Immich breaks uploads off", quick: true, strike: immichAbandons,
			expect: "502; what Immich has read is not sent to it again; nobody else notices",
		},
		{
			name: "Immich says more than it was asked", quick: true, strike: immichAdds,
			expect: "nobody gets what was not meant for them",
		},
	}
}

func immichKilled(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.immich.Kill()
	tr.wantRefused(soon, http.StatusBadGateway)
	tr.wantSocketEnded(soon)
	tr.wantCut(long)
	s.wantStatus(harness.Key, http.StatusBadGateway)
	s.immich.Start(s)
	s.awaitStatus(harness.Key, http.StatusOK)
}

func immichHangsBriefly(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.immich.Hang(s)
	time.Sleep(2 * time.Second)
	s.immich.Continue(s)
	tr.wantWhole()
	tr.wantSocket()
}

const impatience = 3 * time.Second

// impatient is a proxy that does not wait long.
func impatient(s *scene) {
	s.openProxy(harness.ProxyOptions{Arguments: []string{
		fmt.Sprintf("--timeouts.idle=%s", impatience), fmt.Sprintf("--timeouts.upstream=%s", impatience),
	}})
}

func immichHangs(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.immich.Hang(s)
	for _, u := range tr.uploads {
		u.Release()
	}
	tr.wantRefused(long, http.StatusGatewayTimeout)
	tr.wantCut(long)
	tr.wantSocketEnded(long)
	s.wantStatus(harness.Key, http.StatusGatewayTimeout)
	s.immich.Continue(s)
	s.awaitStatus(harness.Key, http.StatusOK)
}

func immichAnswersGarbage(s *scene) {
	tr := s.begin()
	defer tr.end()
	for _, protocol := range harness.Protocols {
		for _, fault := range harness.Garbage {
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
	tr.wantWhole()
	tr.wantSocket()
}

// isFailure is a 502; what Traefik can't read of an answer is to it an error of its own.
func (s *scene) isFailure(o harness.Outcome) bool {
	return o.Err == nil && (o.Status == http.StatusBadGateway || s.traefik != nil && o.Status == http.StatusInternalServerError)
}

func immichTruncates(s *scene) {
	tr := s.begin()
	defer tr.end()
	for _, protocol := range harness.Protocols {
		for _, fault := range harness.Truncations {
			o := s.clients[protocol].Get("/api/assets/1/original", fault, long)
			if o.Err == nil && o.Status < http.StatusInternalServerError {
				s.Errorf("%s, %s: %s, %d bytes that look whole", protocol, fault, o, len(o.Body))
			}
			s.result.count(protocol, "request", outcomeOf(o))
		}
	}
	tr.wantWhole()
	tr.wantSocket()
}

func immichAbandons(s *scene) {
	tr := s.begin()
	defer tr.end()
	for _, protocol := range harness.Protocols {
		for i, fault := range harness.Abandonments {
			u := s.clients[protocol].Upload(s, harness.UploadOptions{Size: uploadSize, Unknown: i%2 == 0, Fault: fault})
			if harness.IsWhole(fault) {
				u.Release()
			}
			o := u.Outcome(s, soon)
			if !s.isFailure(o) {
				s.Errorf("%s, %s: %s", protocol, fault, o)
			}
			if n := s.immich.Count(s, u.Name, harness.Arrived); n != 1 {
				s.Errorf("%s, %s: the upload arrived %d times", protocol, fault, n)
			}
			s.checkUpload(u, o)
		}
	}
	tr.wantWhole()
	tr.wantSocket()
}

func immichAdds(s *scene) {
	tr := s.begin()
	defer tr.end()
	for _, protocol := range harness.Protocols {
		for _, fault := range harness.Additions {
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
	tr.wantWhole()
	tr.wantSocket()
}
