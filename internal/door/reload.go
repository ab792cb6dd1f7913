package door

import (
	"slices"
	"strings"

	"github.com/immichaccess/immichaccess/internal/config"
)

// Reload puts new settings into force as far as that is possible without dropping a connection. When they are wrong, all
// stays as it was.
func (d *Door) Reload(load func() (*config.Loaded, error)) {
	loaded, err := load()
	if err == nil {
		err = d.rules.set(withSessionSecret(&loaded.Settings, d.logger))
	}
	if err != nil {
		d.logger.Error("the configuration stays as it was: the new one is wrong", "error", err)
		return
	}
	d.setLogging(&loaded.Log)
	changed := config.Changed(d.settings, &loaded.Settings)
	waiting := slices.DeleteFunc(slices.Clone(changed), isReloadable)
	d.logger.Info("the configuration is loaded", "changed", strings.Join(changed, ","))
	if len(waiting) > 0 {
		d.logger.Warn("some options take effect with the next start only", "options", strings.Join(waiting, ","))
	}
	// What waits stays in the settings as it is in force, so that it is told of again.
	d.settings.Access, d.settings.Log.Level, d.settings.Log.Access = loaded.Access, loaded.Log.Level, loaded.Log.Access
}

func isReloadable(option string) bool {
	return strings.HasPrefix(option, "access.") || option == "log.level" || option == "log.access"
}
