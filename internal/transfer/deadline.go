package transfer

import "time"

// Deadline is one that is a little later than it has to be, so that it need not be set each time.
type Deadline struct {
	at    time.Time // zero if none is set
	slack time.Duration
}

// Extend returns a deadline for something that may take a while from now, and false if it need not be set.
func (d *Deadline) Extend(while time.Duration) (at time.Time, changed bool) {
	return d.Move(time.Now().Add(while))
}

// Move is Extend for a time. One that has passed, or is zero, is returned as it is.
func (d *Deadline) Move(to time.Time) (at time.Time, changed bool) {
	const part = 16
	if !to.After(d.at) && !to.Before(d.at.Add(-d.slack)) {
		return d.at, false
	}
	d.slack = max(time.Until(to)/part, 0)
	d.at = to.Add(d.slack)
	return d.at, true
}

// Clear is called when the deadline has been removed.
func (d *Deadline) Clear() {
	*d = Deadline{}
}

// IsSet reports whether there is one.
func (d *Deadline) IsSet() bool {
	return !d.at.IsZero()
}

// Outlasts reports whether it is later than another, which is set.
func (d *Deadline) Outlasts(other *Deadline) bool {
	return other.IsSet() && d.at.After(other.at)
}
