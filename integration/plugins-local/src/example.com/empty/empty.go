// Package empty is the least that a plugin can be: what others cost is measured against it.
package empty

import (
	"context"
	"net/http"
)

// Config has no options.
type Config struct{}

// CreateConfig returns the options.
func CreateConfig() *Config { return &Config{} }

type empty struct {
	next http.Handler
}

// New returns a handler that only calls next.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return &empty{next: next}, nil
}

func (e *empty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.next.ServeHTTP(w, r)
}
