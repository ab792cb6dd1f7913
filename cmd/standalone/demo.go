package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/immichaccess/immichaccess/internal/app"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	demoAddress = "127.0.0.1:8443"
	demoText    = `The door is at https://%[1]s, with a fresh key and a certificate nobody knows: hence -k, and a browser
warns of it; go on. Behind it is a fake Immich.

Without the key, nobody gets in:
    curl -k https://%[1]s/api/server/ping

With it, all works:
    curl -k -H 'X-Access-Key: %[2]s' https://%[1]s/api/server/ping
    curl -k -H 'X-Access-Key: %[2]s' -F 'assetData=a photo;filename=a.jpg' https://%[1]s/api/assets

What Immich gets to see of a request, whatever the client invents:
    curl -k -H 'X-Access-Key: %[2]s' -H 'X-Forwarded-For: 1.2.3.4' https://%[1]s/

A shared link works without a key, and nothing else does:
    curl -k https://%[1]s/share/holiday

In a browser, https://%[1]s asks for the key, and this link brings it along. Log out at /.immichaccess/logout.
    https://%[1]s/.immichaccess#%[2]s

Ctrl+C ends it.
`
)

// runDemo takes the options of the proxy too, to try them out.
func runDemo(c *console) error {
	immich, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stand := fakeimmich.New().HTTPServer()
	defer stand.Close()
	go func() { _ = stand.Serve(immich) }()

	storage, err := os.MkdirTemp("", "immichaccess-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(storage)

	secret := rand.Text()
	defaults := []string{
		"--acme.storage=" + storage,
		"--upstreams=http://" + immich.Addr().String(),
		"--listen.https=" + demoAddress,
		"--listen.http=",
		"--access.keys=demo:" + secret,
		"--access.browserLogin=true",
		"--access.publicRoutes=shared-links",
	}
	c.args = append(defaults, c.args...)
	loaded, err := c.load()
	if err != nil {
		return err
	}
	if err := isFree(loaded.Listen.HTTPS); err != nil {
		return fmt.Errorf("demo: %w; --listen.https=127.0.0.1:8444 takes another port", err)
	}
	c.print(demoText, loaded.Listen.HTTPS, secret)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := app.Run(c.load, c.err, signals); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// isFree lets the demo say that it can't run before it says what to try.
func isFree(address string) error {
	probe, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return probe.Close()
}
