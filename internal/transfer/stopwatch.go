package transfer

import "time"

// stopwatch runs a watch for one operation after another, with one timer for them all.
type stopwatch struct {
	timer *time.Timer
}

func (s *stopwatch) start(w watch) {
	if s.timer == nil {
		s.timer = w.start()
		return
	}
	s.timer.Reset(w.idle)
}

func (s *stopwatch) stop() {
	s.timer.Stop()
}
