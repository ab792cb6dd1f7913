package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

const healthPatience = 5 * time.Second

// healthcheck asks a proxy that runs with the same configuration, for images that have no shell.
func healthcheck(c *console) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	client := &http.Client{
		Timeout:       healthPatience,
		Transport:     &http.Transport{TLSClientConfig: ownCertificate(loaded)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequest(http.MethodGet, healthURL(loaded), nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	if len(loaded.Domains) > 0 {
		request.Host = loaded.Domains[0] // others are answered before anybody asks Immich
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("healthcheck: %s", response.Status)
	}
	return nil
}

// healthURL prefers the admin listener; without one, any answer of the proxy's will do, also that a key is needed.
func healthURL(loaded *config.Loaded) string {
	if loaded.Admin.Address != "" {
		return "http://" + local(loaded.Admin.Address) + "/healthz"
	}
	if loaded.Listen.HTTPS == "" {
		return "http://" + local(loaded.Listen.Plain) + "/"
	}
	return "https://" + local(loaded.Listen.HTTPS) + "/"
}

func local(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// ownCertificate does not ask who signed it: the question is whether the proxy lives, on this very machine.
func ownCertificate(loaded *config.Loaded) *tls.Config {
	trusting := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"} //nolint:gosec // see above
	if len(loaded.Domains) > 0 {
		trusting.ServerName = loaded.Domains[0]
	}
	return trusting
}
