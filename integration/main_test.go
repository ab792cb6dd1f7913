package integration

import (
	"flag"
	"io"
	"log"
	"os"
	"testing"

	"github.com/rs/zerolog"
	zlog "github.com/rs/zerolog/log"
)

// TestMain keeps what the plugin logs in this process out of the way of what a failed test says.
func TestMain(m *testing.M) {
	flag.Parse()
	if !testing.Verbose() {
		log.SetOutput(io.Discard)
		zlog.Logger = zerolog.Nop()
	}
	os.Exit(m.Run())
}
