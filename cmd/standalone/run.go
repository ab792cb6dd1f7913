package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/immichaccess/immichaccess/internal/app"
)

func run(c *console) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	return app.Run(c.load, c.err, signals)
}
