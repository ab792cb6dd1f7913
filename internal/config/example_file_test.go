package config

import "testing"

func TestExampleFileIsValid(t *testing.T) {
	t.Parallel()
	loaded := load(t, []string{"--configFile=../../examples/standalone/immichaccess.yml"}, nil)
	if len(loaded.Access.Keys) != 1 || len(loaded.Domains) != 1 {
		t.Errorf("%+v", loaded.Settings)
	}
}
