package app

import (
	"net/http"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/config"
)

// openAccess makes the handlers that decide who gets to next.
func (a *App) openAccess(next http.Handler) (err error) {
	access := withSessionSecret(a.settings, a.logger)
	if a.handler, err = newReloadableHandler(access, next); err != nil {
		return err
	}
	if a.keyless, err = newReloadableHandler(withoutKeys(access), next); err != nil {
		return err
	}
	return a.trustProxies(&access)
}

// setAccess replaces the options of a running App. When they are wrong, all stays as it was.
func (a *App) setAccess(settings *config.Settings) error {
	access := withSessionSecret(settings, a.logger)
	if err := a.handler.set(access); err != nil {
		return err
	}
	if err := a.keyless.set(withoutKeys(access)); err != nil { // it has some of the same options, which were right
		return err
	}
	return a.trustProxies(&access)
}

func (a *App) trustProxies(access *immichaccess.Config) error {
	proxies, err := config.ParseNetworks(access.TrustedProxies)
	if err == nil {
		a.hsts.Trust(proxies)
	}
	return err
}

// withoutKeys returns the options of listen.keyless: none that is about keys, since nobody needs one.
func withoutKeys(access immichaccess.Config) immichaccess.Config {
	access.RequireKey = "false"
	access.Keys, access.KeysFile, access.SessionSecretFile = nil, "", ""
	access.KeylessNetworks, access.PublicRoutes, access.BrowserLogin = nil, nil, false
	access.ClientCertificates, access.RevokedCertificates = false, nil
	return access
}

func (a *App) closeAccess() {
	a.handler.close()
	a.keyless.close()
}
