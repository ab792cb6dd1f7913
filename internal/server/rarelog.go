package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// rareInterval is how often a message that anybody can cause is logged.
const rareInterval = time.Minute

// rareLog keeps messages from flooding the log: of each, one line a minute.
type rareLog struct {
	logger *slog.Logger

	mu     sync.Mutex
	logged map[string]rareMessage // by message
}

type rareMessage struct {
	last       time.Time
	suppressed int
}

func newRareLog(logger *slog.Logger) *rareLog {
	return &rareLog{logger: logger, logged: map[string]rareMessage{}}
}

func (l *rareLog) warn(message string, attributes ...any) {
	l.log(slog.LevelWarn, message, attributes)
}

func (l *rareLog) error(message string, attributes ...any) {
	l.log(slog.LevelError, message, attributes)
}

func (l *rareLog) log(level slog.Level, message string, attributes []any) {
	suppressed, due := l.due(message)
	if !due {
		return
	}
	if suppressed > 0 {
		attributes = append(attributes, "suppressed", suppressed)
	}
	l.logger.Log(context.Background(), level, message, attributes...)
}

// due also returns how often the message was suppressed since it was logged last.
func (l *rareLog) due(message string) (suppressed int, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.logged[message]
	if now := time.Now(); now.Sub(m.last) >= rareInterval {
		l.logged[message] = rareMessage{last: now}
		return m.suppressed, true
	}
	m.suppressed++
	l.logged[message] = m
	return 0, false
}
