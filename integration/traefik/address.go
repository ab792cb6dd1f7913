package traefik

import "github.com/immichaccess/immichaccess/integration/harness"

// FreeAddress is harness.FindFreeAddress.
func FreeAddress() (string, error) { return harness.FindFreeAddress() }
