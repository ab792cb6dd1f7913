package app

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/filewrite"
)

// sessionSecretName is the file in acme.storage with the secret that signs the cookies of browsers.
const sessionSecretName = "session-secret"

// withSessionSecret returns the options of the handler. Without access.sessionSecretFile, the proxy keeps a secret of its own
// beside the certificates, so that browsers' sessions survive a restart and instances with the same storage share them.
func withSessionSecret(settings *config.Settings, logger *slog.Logger) immichaccess.Config {
	access := settings.Access
	if !access.BrowserLogin || access.SessionSecretFile != "" {
		return access
	}
	path := filepath.Join(settings.ACME.Storage, sessionSecretName)
	if err := createSecret(path); err != nil && !errors.Is(err, fs.ErrExist) {
		logger.Warn("browsers have to log in again after a restart: the session secret can't be kept", "error", err)
		return access
	}
	access.SessionSecretFile = path
	return access
}

// createSecret never replaces a file, and looks first, since the storage may be read-only.
func createSecret(path string) error {
	if _, err := os.Stat(path); err == nil {
		return fs.ErrExist
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	secret := rand.Text() + rand.Text() + "\n"
	return filewrite.Create(filewrite.File{Path: path, Content: []byte(secret), Mode: 0o600})
}
