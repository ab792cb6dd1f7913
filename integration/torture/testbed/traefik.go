package testbed

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
)

// Traefik is the real one, with the plugin and Key.
type Traefik struct {
	*traefik.Running

	Address  string // of HTTPS, HTTP/3 too
	KeysFile string // contains Key
	immich   *Immich
}

// StartTraefik runs it in front of Immich until the test ends. The first time, it is built, which takes minutes.
func StartTraefik(t testing.TB, immich *Immich) *Traefik {
	t.Helper()
	tr := &Traefik{Address: harness.FreeAddress(t), KeysFile: filepath.Join(t.TempDir(), "keys"), immich: immich}
	harness.WriteFile(t, tr.KeysFile, "phone:"+Key+"\n")
	static := traefik.Settings{"entryPoints": traefik.Settings{"websecure": traefik.Settings{
		"address": tr.Address, "http3": traefik.Settings{},
		"transport": traefik.Settings{"respondingTimeouts": traefik.Settings{"readTimeout": 0}},
	}}}
	tr.Running = traefik.Run(t, static, tr.settings(tr.KeysFile), tr.Address)
	if err := traefik.Await(t.Context(), "https://"+tr.Address+"/", http.StatusForbidden); err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr *Traefik) settings(keysFile string) traefik.Settings {
	service := traefik.Service(tr.immich.URL())
	service.At("loadBalancer")["serversTransport"] = "immich"
	return traefik.Settings{"http": traefik.Settings{
		"routers": traefik.Settings{"immich": traefik.Settings{
			"rule": "PathPrefix(`/`)", "entryPoints": []string{"websecure"}, "middlewares": []string{"key"}, "service": "immich", "tls": traefik.Settings{},
		}},
		"middlewares":       traefik.Settings{"key": traefik.Plugin(traefik.Settings{"keysFile": keysFile})},
		"services":          traefik.Settings{"immich": service},
		"serversTransports": traefik.Settings{"immich": traefik.Settings{"forwardingTimeouts": traefik.Settings{"idleConnTimeout": "4s"}}},
	}}
}

// SetKeysFile reloads with another one.
func (tr *Traefik) SetKeysFile(t testing.TB, name string) {
	t.Helper()
	tr.SetDynamic(t, tr.settings(name))
}

// Break replaces the dynamic configuration by one with a syntax error.
func (tr *Traefik) Break(t testing.TB) {
	t.Helper()
	harness.ReplaceFile(t, tr.DynamicFile, "http: [\n") // in one step: an empty file would be a valid configuration without routes
}

// Client returns a client of Traefik's.
func (tr *Traefik) Client(t testing.TB, protocol string, from *Namespace) *Client {
	t.Helper()
	return NewClient(t, protocol, ClientOptions{Address: tr.Address, Key: Key, Namespace: from})
}

// Footprint is what Traefik uses now.
func (tr *Traefik) Footprint(t testing.TB) Footprint {
	t.Helper()
	footprint, err := footprintOf(tr.PID, tr.immich.Address)
	if err != nil {
		t.Fatal(err)
	}
	return footprint
}
