package transfer

import "time"

// reusedTimer is one timer for operations that come one after another.
type reusedTimer struct {
	timer *time.Timer
}

func (t *reusedTimer) start(idle idleTimer) {
	if t.timer == nil {
		t.timer = idle.start()
		return
	}
	t.timer.Reset(idle.idle)
}

func (t *reusedTimer) stop() {
	t.timer.Stop()
}
