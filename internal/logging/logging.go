// Package logging writes what happens, and never a secret.
package logging

import (
	"io"
	"log"
	"log/slog"
)

// New returns a logger whose level can be changed later.
func New(w io.Writer, format string, level *slog.LevelVar) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if format == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(handler)
}

// TakeOver makes the logger that of the whole process: the handler's lines go to it, and those of package log, as warnings.
func TakeOver(logger *slog.Logger) {
	slog.SetLogLoggerLevel(slog.LevelWarn)
	slog.SetDefault(logger)
}

// Level translates the option log.level, which is known to be valid.
func Level(word string) slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(word))
	return level
}

// Debug returns a logger for net/http's own remarks, such as failed handshakes: noise from scanners, most of it.
func Debug(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}
