package queuetest

import (
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// Place is where the model has a message.
type Place int

// The places.
const (
	Fresh   Place = iota // new: in the line of new messages
	Back                 // was returned, timed out or delayed: in the line of those, by Since
	Held                 // lent out until Until
	Delayed              // not before Until
)

// Letter is a message as the model has it. All times are in milliseconds.
type Letter struct {
	ID         engine.ID
	Body       string
	Sent       int64
	Place      Place
	Since      int64 // in the line of those that came back
	Until      int64
	Deliveries uint32
	Receives   int
	First      int64 // 0: never received
	Retry      *queues.Retry
	Priority   int
	Ends       int64 // 0: never by itself
	Size       int64 // bytes of its record
	Received   int64 // of one that is held: since when
	By         string
}

// Slip is a receipt handle that the model has seen.
type Slip struct {
	Handle   string
	ID       engine.ID
	Delivery uint32
	Received int64
}

// Wait returns how long a message waits that has just failed. Each of its receives has.
func (l Letter) Wait(set queues.Settings) int64 {
	policy := set.Retry
	if l.Retry != nil {
		policy = *l.Retry
	}
	return WaitOf(policy, l.ID, l.Receives).Milliseconds()
}

// From returns the place in the line of those that came back of a message that is available since then.
func (l Letter) From(since int64, set queues.Settings) int64 {
	return since - int64(l.Priority)*set.PriorityStep.Milliseconds()
}

// Last returns when a message ends at the latest.
func (l Letter) Last(set queues.Settings) int64 {
	last := l.Sent + set.Retention.Milliseconds()
	if l.Ends > 0 {
		last = min(last, l.Ends)
	}
	return last
}

// Expires returns when it ends by itself, and no time where it does not.
func (l Letter) Expires() time.Time {
	if l.Ends == 0 {
		return time.Time{}
	}
	return Millis(l.Ends)
}

// NowOf returns what and where a message is at now: what has ended is available since then, or since its back-off ended.
func (l Letter) NowOf(now int64, set queues.Settings) Letter {
	if l.Place == Held && l.Until <= now {
		l.Place, l.Until = Delayed, l.Until+l.Wait(set)
	}
	if l.Place == Delayed && l.Until <= now {
		l.Place, l.Since, l.Until = Back, l.From(l.Until, set), 0
	}
	return l
}
