package transfer

import (
	"context"
	"sync"
)

// RequestContext is the context of a request, and carries its exchange. It can be part of what a server has for each request, where
// package context would allocate several objects.
type RequestContext struct {
	context.Context // of the connection; only its values are used

	mu       sync.Mutex
	exchange *exchange
	done     chan struct{} // nil until it is asked for
	ended    bool
	hooks    *Hook // the last one that was set
}

// Cancel ends it.
func (c *RequestContext) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	if c.done != nil {
		close(c.done)
	}
	for c.hooks != nil {
		h := c.hooks
		c.hooks, h.next = h.next, nil
		go h.Call()
	}
}

// Done is that of context.Context.
func (c *RequestContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.ended {
			close(c.done)
		}
	}
	return c.done
}

// Err is that of context.Context.
func (c *RequestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Value is that of context.Context.
func (c *RequestContext) Value(key any) any {
	if key == (exchangeKey{}) {
		return c.exchange
	}
	return c.Context.Value(key)
}

// AfterFunc is what package context calls for the contexts that are derived from this one.
func (c *RequestContext) AfterFunc(f func()) (stop func() bool) {
	h := &Hook{Call: f}
	h.Set(c)
	return h.Remove
}

// withExchange returns a context that carries the exchange: ctx itself if it is a RequestContext.
func withExchange(ctx context.Context, x *exchange) context.Context {
	if c, ok := ctx.(*RequestContext); ok {
		c.exchange = x
		return c
	}
	return context.WithValue(ctx, exchangeKey{}, x)
}

// Hook does what context.AfterFunc does, but allocates nothing for a RequestContext. It is set on one context at a time.
type Hook struct {
	Call func() // in a goroutine of its own, when the context ends

	ctx  *RequestContext
	next *Hook
	stop func() bool // for other contexts
}

// Set adds it to a context.
func (h *Hook) Set(ctx context.Context) {
	c, ok := ctx.(*RequestContext)
	if !ok {
		h.ctx, h.stop = nil, context.AfterFunc(ctx, h.Call)
		return
	}
	h.ctx = c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		go h.Call()
		return
	}
	h.next = c.hooks
	c.hooks = h
}

// Remove returns false if the context has ended before, or it is not set.
func (h *Hook) Remove() bool {
	c, stop := h.ctx, h.stop
	h.ctx, h.stop = nil, nil // which may refer to much
	switch {
	case c != nil:
		return c.remove(h)
	case stop != nil:
		return stop()
	}
	return false
}

func (c *RequestContext) remove(h *Hook) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := &c.hooks; *at != nil; at = &(*at).next {
		if *at == h {
			*at, h.next = h.next, nil
			return true
		}
	}
	return false
}
