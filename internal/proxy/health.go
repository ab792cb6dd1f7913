package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	healthInterval = 2 * time.Second
	healthTimeout  = 5 * time.Second
)

// checkHealth pings each upstream at intervals until the context ends.
func (p *pool) checkHealth(ctx context.Context) {
	for _, u := range p.members {
		go p.pingRepeatedly(ctx, u)
	}
}

func (p *pool) pingRepeatedly(ctx context.Context, u *upstream) {
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := p.ping(ctx, u); ctx.Err() == nil {
			p.mark(u, err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (p *pool) ping(ctx context.Context, u *upstream) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url.JoinPath("/api/server/ping").String(), nil)
	if err != nil {
		return err
	}
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK { // after 101, reading the body would not end with the context
		return fmt.Errorf("the response to its ping is %d", response.StatusCode)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return nil
}
