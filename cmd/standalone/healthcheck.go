package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

const (
	healthTimeout = 5 * time.Second
	// invalidHost makes the proxy answer 400 before it looks for a key: the request counts as no denial, is not logged as one, and
	// never reaches Immich.
	invalidHost = "[healthcheck]"
)

// healthcheck asks the proxy that runs with the same configuration, for container images without a shell.
func healthcheck(c *console) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	client := &http.Client{
		Timeout:       healthTimeout,
		Transport:     &http.Transport{TLSClientConfig: withoutVerification(loaded)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequest(http.MethodGet, healthURL(loaded), nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	request.Host = invalidHost
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

// healthURL prefers the admin listener. Without one, any response of the proxy will do, even a 4xx.
func healthURL(loaded *config.Loaded) string {
	if loaded.Admin.Address != "" {
		return "http://" + loopback(loaded.Admin.Address) + "/healthz"
	}
	if loaded.Listen.HTTPS == "" {
		return "http://" + loopback(loaded.Listen.Plain) + "/"
	}
	return "https://" + loopback(loaded.Listen.HTTPS) + "/"
}

func loopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// withoutVerification accepts any certificate: the proxy is on this machine, and the question is only whether it works.
func withoutVerification(loaded *config.Loaded) *tls.Config {
	settings := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"} //nolint:gosec // see above
	if len(loaded.Domains) > 0 {
		settings.ServerName = hostOf(loaded.Domains[0])
	}
	return settings
}

// hostOf returns a host name that the domain, which may be a wildcard, covers.
func hostOf(domain string) string {
	return strings.Replace(domain, "*", "healthcheck", 1)
}
