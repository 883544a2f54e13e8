package policy

import (
	"sync/atomic"
	"time"
)

// trust is how long a server believes that a policy is what it was: with the time that a call may take, what its owner takes
// back is refused everywhere within 5 s.
const trust = 4 * time.Second

// Known is what a server knows of the policy of one queue or topic, so that requests need not ask for it.
type Known struct {
	confirmed atomic.Int64 // when it was seen to be that of now, ns since 1970; 0: never
	compiled  atomic.Pointer[compiled]
}

type compiled struct {
	text   string
	policy *Policy
}

// Confirm notes that what is known was true at some time.
func (k *Known) Confirm(at time.Time) { k.confirmed.Store(at.UnixNano()) }

// IsFresh reports whether what is known was confirmed in the last 4 s. A clock that was put back confirms nothing.
func (k *Known) IsFresh(now time.Time) bool {
	age := now.UnixNano() - k.confirmed.Load()
	return age >= 0 && age < int64(trust)
}

// Of returns the policy with a text, compiled, and nil for "". The text was found to be right when it was set.
func (k *Known) Of(text string) *Policy {
	if text == "" {
		return nil
	}
	if c := k.compiled.Load(); c != nil && c.text == text { // mostly the same memory
		return c.policy
	}
	p, _ := Compile(text, Limits{})
	k.compiled.Store(&compiled{text, p})
	return p
}
