package certs

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/testlog"
	"go.uber.org/zap"
)

func TestCertificateOfTheSecondCA(t *testing.T) {
	t.Parallel()
	log := &testlog.Log{}
	orders := newOrderLog(config.Defaults(), slog.New(slog.NewTextHandler(log, nil)))
	core := slogCore{logger: orders.logger, orders: orders}
	logger := zap.New(core).Named("obtain")
	logger.Error("could not get certificate from issuer", zap.String("identifier", "photos.example.com"),
		zap.String("issuer", "acme-v02.api.letsencrypt.org-directory"), zap.Error(errors.New("Get \"https://acme-v02.api.letsencrypt.org/directory\": Bad Gateway")))
	if err := orders.event(t.Context(), "cert_obtained", map[string]any{"identifier": "photos.example.com"}); err != nil {
		t.Fatal(err)
	}
	log.Await(t, "instead_of=\"Let's Encrypt\"")
	text := log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "acme-v02.api.letsencrypt.org") {
		t.Error(text)
	}
}
