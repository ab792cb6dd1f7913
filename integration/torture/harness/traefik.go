package harness

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/immichaccess/immichaccess/integration/traefik"
)

// Traefik is the real one, with the plugin and Key.
type Traefik struct {
	Address  string // of HTTPS, HTTP/3 too
	Log      *Log
	KeysFile string // has Key in it
	dynamic  string // its file
	immich   *Immich
	process  *traefik.Process
}

// StartTraefik runs it in front of Immich until the test ends. The first time, it is built, which takes minutes.
func StartTraefik(t testing.TB, immich *Immich) *Traefik {
	t.Helper()
	var program string
	err := once("traefik", func() (err error) { program, err = traefik.Build(context.Background()); return err })
	if err == nil && program == "" {
		program = filepath.Join(moduleFolder(), "build", "traefik")
	}
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	f := &Traefik{Address: FreeAddress(t), Log: &Log{}, KeysFile: filepath.Join(folder, "keys"), dynamic: filepath.Join(folder, "dynamic.yml"), immich: immich}
	replaceFile(t, f.KeysFile, "phone:"+Key+"\n")
	static := traefik.Settings{"entryPoints": traefik.Settings{"websecure": traefik.Settings{
		"address": f.Address, "http3": traefik.Settings{},
		"transport": traefik.Settings{"respondingTimeouts": traefik.Settings{"readTimeout": 0}},
	}}}
	f.process, err = traefik.Start(context.Background(), program, folder, static, f.settings(f.KeysFile), f.Log, f.Address)
	if err != nil {
		t.Fatalf("%v\n%s", err, f.Log)
	}
	t.Cleanup(func() {
		f.process.Stop()
		if t.Failed() {
			t.Logf("Traefik:\n%s", tail(f.Log.String()))
		}
	})
	if err := traefik.Await(t.Context(), "https://"+f.Address+"/", http.StatusForbidden); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *Traefik) settings(keysFile string) traefik.Settings {
	return traefik.Settings{"http": traefik.Settings{
		"routers": traefik.Settings{"immich": traefik.Settings{
			"rule": "PathPrefix(`/`)", "entryPoints": []string{"websecure"}, "middlewares": []string{"key"}, "service": "immich", "tls": traefik.Settings{},
		}},
		"middlewares": traefik.Settings{"key": traefik.Settings{"plugin": traefik.Settings{"immichaccess": traefik.Settings{"keysFile": keysFile}}}},
		"services": traefik.Settings{"immich": traefik.Settings{"loadBalancer": traefik.Settings{
			"servers": f.immich.TraefikURL(), "serversTransport": "immich",
		}}},
		"serversTransports": traefik.Settings{"immich": traefik.Settings{"forwardingTimeouts": traefik.Settings{"idleConnTimeout": "4s"}}},
	}}
}

// SetKeysFile reloads with another one.
func (f *Traefik) SetKeysFile(t testing.TB, name string) {
	t.Helper()
	if err := traefik.Write(f.dynamic, f.settings(name)); err != nil {
		t.Fatal(err)
	}
}

// Break puts something in the place of the dynamic configuration that is none.
func (f *Traefik) Break(t testing.TB) {
	t.Helper()
	replaceFile(t, f.dynamic, "http: [\n") // in one step: an empty file would be a good configuration, with no routes
}

// Client returns a client of Traefik's.
func (f *Traefik) Client(t testing.TB, protocol string, from *Namespace) *Client {
	t.Helper()
	return NewClient(t, protocol, ClientOptions{Address: f.Address, Key: Key, Namespace: from})
}

// Footprint is what Traefik occupies now.
func (f *Traefik) Footprint(t testing.TB) Footprint {
	t.Helper()
	footprint, err := (&Process{PID: f.process.PID}).footprint(f.immich.Address)
	if err != nil {
		t.Fatal(err)
	}
	return footprint
}
