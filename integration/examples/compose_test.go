package examples

import (
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/integration/traefikconfig"
	"github.com/traefik/traefik/v3/pkg/config/static"
)

func TestExampleCompose(t *testing.T) {
	t.Parallel()
	compose := traefik.LoadCompose(t)
	compose.Check(t)
	config := traefikconfig.DecodeFlags(t, compose.Services["traefik"].Command)
	traefikconfig.CheckStatic(t, config)
	checkPorts(t, config, compose.Services["traefik"].Ports)
	for name, service := range compose.Services {
		if len(service.Labels) > 0 {
			t.Run(name, func(t *testing.T) {
				traefikconfig.CheckDynamic(t, config, traefikconfig.DecodeLabels(t, service.Labels), traefikconfig.ImmichRoutes)
			})
		}
	}
}

// checkPorts requires that every entry point is published, over UDP too if it has HTTP/3.
func checkPorts(t *testing.T, config *static.Configuration, ports []string) {
	t.Helper()
	for name, entryPoint := range config.EntryPoints {
		port := strings.TrimPrefix(entryPoint.Address, ":")
		tcp := port + ":" + port
		if !slices.Contains(ports, tcp) && !slices.Contains(ports, tcp+"/tcp") {
			t.Errorf("%s: port %s is not published", name, port)
		}
		if entryPoint.HTTP3 != nil && !slices.Contains(ports, tcp+"/udp") {
			t.Errorf("%s: port %s is not published over UDP", name, port)
		}
	}
}
