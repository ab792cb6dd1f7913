// Package logging sets up the log, and masks secrets in what goes into it.
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

// TakeOver makes the logger the default of the process: the handler's lines go to it, and those of package log, as warnings.
func TakeOver(logger *slog.Logger) {
	slog.SetLogLoggerLevel(slog.LevelWarn)
	slog.SetDefault(logger)
	log.SetOutput(unquotedLog{log.Writer()})
}

// Level parses the option log.level, which has been validated.
func Level(text string) slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(text))
	return level
}

// Debug returns a logger for net/http's own errors, such as failed handshakes, most of which scanners cause.
func Debug(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}
