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
	demoText    = `The proxy listens at https://%[1]s, in front of a fake Immich. It has a new key, and a self-signed certificate:
curl needs -k, and your browser shows a warning that you can skip.

Without the key, a request is denied:
    curl -k https://%[1]s/api/server/ping

With the key, everything works:
    curl -k -H 'X-Access-Key: %[2]s' https://%[1]s/api/server/ping
    curl -k -H 'X-Access-Key: %[2]s' -F 'assetData=a photo;filename=a.jpg' https://%[1]s/api/assets

This shows what Immich receives; the spoofed address is not in it:
    curl -k -H 'X-Access-Key: %[2]s' -H 'X-Forwarded-For: 1.2.3.4' https://%[1]s/

A shared link works without the key:
    curl -k https://%[1]s/share/holiday

In a browser, https://%[1]s asks for the key. This link contains it; /.immichaccess/logout logs out again.
    https://%[1]s/.immichaccess#%[2]s

The doctor tests it from outside, as it would test any proxy. It finds one problem, the certificate:
    %[3]s doctor https://%[1]s --insecure --key=%[2]s

Press Ctrl+C to stop.
`
)

// runDemo also accepts the options of the proxy, so that they can be tried.
func runDemo(c *console) error {
	immich, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	upstream := fakeimmich.NewDemo().HTTPServer()
	defer upstream.Close()
	go func() { _ = upstream.Serve(immich) }()

	storage, err := os.MkdirTemp("", "immichaccess-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(storage)

	secret := rand.Text()
	defaults := []string{
		"--configFile=", // not the file of a proxy that is installed
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
		return fmt.Errorf("demo: %w; use another port, as with --listen.https=127.0.0.1:8444", err)
	}
	c.print(demoText, loaded.Listen.HTTPS, secret, os.Args[0])
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := app.Run(c.load, c.err, signals); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// isFree checks that the demo can listen, before it prints what to try.
func isFree(address string) error {
	probe, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return probe.Close()
}
