package certs

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"
)

// slogCore writes the log of certmagic, which uses zap, to slog. Its lines about orders are at level debug: orderLog makes one
// line of them.
type slogCore struct {
	logger *slog.Logger
	orders *orderLog
	fields []zapcore.Field
}

// Enabled is true of warnings and errors in any case, since orders needs them.
func (c slogCore) Enabled(level zapcore.Level) bool {
	return level >= zapcore.WarnLevel || c.logger.Enabled(context.Background(), slog.LevelDebug)
}

func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	c.fields = slices.Concat(c.fields, fields)
	return c
}

func (c slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	fields = slices.Concat(c.fields, fields)
	c.logger.Log(context.Background(), slogLevel(entry), "certificates: "+entry.Message, attributes(fields)...)
	c.orders.note(entry.Message, fields)
	return nil
}

func (slogCore) Sync() error {
	return nil
}

// partsOfOrders are the names of certmagic's loggers for what belongs to an order, and what others say of one.
var partsOfOrders = []string{
	"obtain", "renew", "acme_client",
	"job failed", "updating ARI", "updating ARI upon managing", "failed updating renewal info from ACME CA",
}

// slogLevel keeps the level of those warnings and errors that no other line reports, such as that a certificate was revoked.
func slogLevel(entry zapcore.Entry) slog.Level {
	ofOrder := slices.Contains(partsOfOrders, entry.Message) || slices.ContainsFunc(strings.Split(entry.LoggerName, "."), func(part string) bool {
		return slices.Contains(partsOfOrders, part)
	})
	switch {
	case ofOrder || entry.Level < zapcore.WarnLevel:
		return slog.LevelDebug
	case entry.Level == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

func attributes(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	var found []any
	for _, field := range fields {
		field.AddTo(encoder)
		if value, added := encoder.Fields[field.Key]; added {
			found = append(found, field.Key, value)
		}
	}
	return found
}
