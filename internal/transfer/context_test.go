package transfer

import (
	"context"
	"testing"
	"testing/synctest"
)

type aKey struct{}

// contexts are those that a Hook may be set on, and how they end.
func contexts() map[string]func() (context.Context, func()) {
	return map[string]func() (context.Context, func()){
		"of a request": func() (context.Context, func()) {
			c := &RequestContext{Context: context.WithValue(context.Background(), aKey{}, "value")}
			return c, c.Cancel
		},
		"derived": func() (context.Context, func()) {
			c := &RequestContext{Context: context.WithValue(context.Background(), aKey{}, "value")}
			derived, cancel := context.WithCancel(c)
			return derived, func() { c.Cancel(); <-derived.Done(); cancel() }
		},
		"usual": func() (context.Context, func()) {
			return context.WithCancel(context.WithValue(context.Background(), aKey{}, "value"))
		},
	}
}

func forContexts(t *testing.T, test func(t *testing.T, ctx context.Context, cancel func())) {
	t.Helper()
	for name, create := range contexts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := create()
				defer cancel()
				test(t, ctx, cancel)
			})
		})
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	forContexts(t, func(t *testing.T, ctx context.Context, cancel func()) {
		select {
		case <-ctx.Done():
			t.Error("it has ended")
		default:
		}
		if ctx.Err() != nil || context.Cause(ctx) != nil || ctx.Value(aKey{}) != "value" {
			t.Error(ctx.Err(), context.Cause(ctx), ctx.Value(aKey{}))
		}
		cancel()
		cancel()
		<-ctx.Done()
		if ctx.Err() != context.Canceled || context.Cause(ctx) != context.Canceled { //nolint:errorlint // as package context promises
			t.Error(ctx.Err(), context.Cause(ctx))
		}
	})
}

func TestContextThatHasEnded(t *testing.T) {
	t.Parallel()
	c := &RequestContext{Context: context.Background()}
	c.Cancel()
	<-c.Done()
}

func TestHooksAreCalledOnce(t *testing.T) {
	t.Parallel()
	forContexts(t, func(t *testing.T, ctx context.Context, cancel func()) {
		calls := make(chan int, 10)
		hooks := make([]Hook, 4)
		for i := range hooks {
			hooks[i].Call = func() { calls <- i }
			hooks[i].Set(ctx)
		}
		if !hooks[1].Remove() || hooks[1].Remove() || !hooks[3].Remove() {
			t.Error("they can't be removed")
		}
		hooks[3].Set(ctx)
		cancel()
		cancel()
		synctest.Wait()
		called := map[int]bool{}
		for range len(calls) {
			called[<-calls] = true
		}
		if len(called) != 3 || called[1] {
			t.Errorf("called are %v", called)
		}
		if hooks[0].Remove() {
			t.Error("it has not been called")
		}
		hooks[1].Set(ctx)
		if <-calls != 1 || len(calls) > 0 {
			t.Error("another is called")
		}
	})
}
