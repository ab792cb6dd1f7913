package app

import (
	"slices"
	"strings"

	"github.com/immichaccess/immichaccess/internal/config"
)

// Reload applies new settings as far as that is possible without dropping a connection. If they are invalid, the old ones
// stay in force.
func (a *App) Reload(load func() (*config.Loaded, error)) {
	loaded, err := load()
	if err == nil {
		err = a.setAccess(&loaded.Settings)
	}
	if err != nil {
		a.logger.Error("the configuration stays as it was: the new one is invalid", "error", err)
		return
	}
	a.setLogging(&loaded.Log)
	changed := config.Changed(a.settings, &loaded.Settings)
	waiting := slices.DeleteFunc(slices.Clone(changed), isReloadable)
	a.logger.Info("the configuration is loaded", "changed", strings.Join(changed, ","))
	if len(waiting) > 0 {
		a.logger.Warn("some options take effect only after a restart", "options", strings.Join(waiting, ","))
	}
	// Options that need a restart keep their old values here, so that the next reload reports them again.
	a.settings.Access, a.settings.Log.Level, a.settings.Log.Access = loaded.Access, loaded.Log.Level, loaded.Log.Access
}

func isReloadable(option string) bool {
	return strings.HasPrefix(option, "access.") || option == "log.level" || option == "log.access"
}
