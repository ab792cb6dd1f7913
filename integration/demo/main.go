// Command demo runs the real Traefik with the plugin and the files of examples/traefik, on loopback, in front of a small
// fake Immich, and prints what to try.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"text/template"

	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprintln(out, "Building Traefik. The first time, this takes some minutes …")
	binary, err := traefik.Build(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "immichaccess-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	immich, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer immich.Close()
	go http.Serve(immich, fakeimmich.NewDemo()) //nolint:errcheck,gosec // ends with the listener; there is no time limit to uploads

	example, err := traefik.LoadExample(dir, "http://"+immich.Addr().String())
	if err != nil {
		return err
	}
	key := rand.Text()
	acceptAnyHost(example, key)
	log, err := os.Create(dir + "/traefik.log")
	if err != nil {
		return err
	}
	defer log.Close()
	process, err := traefik.Start(ctx, binary, dir, example.Static, example.Dynamic, log, example.Open, example.Keyed)
	if err != nil {
		return err
	}
	defer process.Stop()
	if err := traefik.Await(ctx, "https://"+example.Keyed+"/", http.StatusForbidden); err != nil {
		return err
	}
	if err := whatToTry.Execute(out, map[string]string{"Open": example.Open, "Keyed": example.Keyed, "Key": key, "Log": log.Name()}); err != nil {
		return err
	}
	if err := process.Wait(); ctx.Err() == nil {
		return fmt.Errorf("Traefik has ended: %w", err) //nolint:staticcheck // a name
	}
	return nil
}

// acceptAnyHost makes the entry points answer for every host, since the demo's is 127.0.0.1, and sets the key.
func acceptAnyHost(example *traefik.Example, key string) {
	settings := example.Dynamic.At("http")
	routers := settings.At("routers")
	delete(routers, "immich-every-option")
	for name := range routers {
		routers.At(name)["rule"] = "PathPrefix(`/`)"
	}
	digest := fmt.Sprintf("demo:sha256:%x", sha256.Sum256([]byte(key)))
	settings.At("middlewares")["immich-key"] = traefik.Plugin(traefik.Settings{
		"keys": []string{digest}, "browserLogin": true, "publicRoutes": []string{"shared-links"},
	})
}

var whatToTry = template.Must(template.New("").Parse(`
Traefik is running in front of a fake Immich, with two entry points. Its certificate is self-signed, hence -k.

The entry point without a key shows the requests that Immich receives, in a browser too:

    curl -k https://{{.Open}}/

The entry point with a key refuses requests without it, and accepts those with it:

    curl -k https://{{.Keyed}}/api/server/ping
    curl -k -H 'X-Access-Key: {{.Key}}' https://{{.Keyed}}/api/server/ping

Spoofed forwarding headers are stripped:

    curl -k -H 'X-Access-Key: {{.Key}}' -H 'X-Forwarded-For: 6.6.6.6' https://{{.Keyed}}/

An upload of any size is streamed to Immich:

    curl -k -H 'X-Access-Key: {{.Key}}' -F assetData=@README.md https://{{.Keyed}}/api/assets

A shared link works without a key:

    curl -k https://{{.Keyed}}/share/holiday

In a browser, the entry point with a key shows a login page, and this link fills in the key. Log out at /.immichaccess/logout.

    https://{{.Keyed}}/.immichaccess#{{.Key}}

Traefik's log, with a line for each denied request: {{.Log}}

Stop with Ctrl+C.
`))
