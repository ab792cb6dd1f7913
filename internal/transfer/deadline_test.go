package transfer

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlineLeavesEnoughTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		set, changes := time.Time{}, 0
		const while, step, steps = 10 * time.Minute, time.Second, 300
		for range steps {
			if at, changed := d.Extend(while); changed {
				set = at
				changes++
			}
			if left := time.Until(set); left < while || left > while+while/8 {
				t.Fatalf("%v are left", left)
			}
			time.Sleep(step)
		}
		if changes > steps/10 {
			t.Errorf("it is set %d times", changes)
		}
	})
}

func TestDeadlineThatHasPassed(t *testing.T) {
	t.Parallel()
	var d Deadline
	d.Extend(time.Hour)
	for _, want := range []time.Time{past, {}} {
		if at, changed := d.Move(want); !changed || !at.Equal(want) {
			t.Errorf("%v, %v, want %v", at, changed, want)
		}
	}
	if d.IsSet() {
		t.Error("it is set")
	}
}
