package app

import (
	"net/http"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/config"
)

// openAccess makes the two access-key handlers, which both forward to next.
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

// setAccess replaces the options of a running App. If they are invalid, it changes nothing.
func (a *App) setAccess(settings *config.Settings) error {
	access := withSessionSecret(settings, a.logger)
	if err := a.handler.set(access); err != nil {
		return err
	}
	if err := a.keyless.set(withoutKeys(access)); err != nil { // can't fail: its options are some of those above
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

// withoutKeys returns the options of listen.keyless: those of the other listeners, without any that is about keys.
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
