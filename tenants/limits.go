package tenants

import (
	"encoding/json"
	"fmt"

	"github.com/sluicemq/sluice/internal/errs"
)

// Limit names one thing of which a tenant has so much and no more.
type Limit uint8

// The limits.
const (
	LimitQueues        Limit = iota // queues
	LimitMessageSize                // bytes of a message with its attributes
	LimitRequests                   // requests a second
	LimitBytesIn                    // bytes a second of the bodies of requests
	LimitBytesOut                   // bytes a second of answers
	LimitTopics                     // topics
	LimitSubscriptions              // subscriptions of one topic
	LimitSchedules                  // schedules of one queue
	LimitKeys                       // keys
	LimitWaiting                    // receives that wait on one server, with open streams
	LimitStored                     // bytes that are stored; see Storage

	limitCount
)

// limits say of each limit its name, and the least and the largest value that it may be given. The largest one holds for
// a tenant of which nobody says anything, unless free is set: then it may have any amount.
var limits = [limitCount]struct {
	name      string
	low, high int64
	free      bool
	said      string // behind a number, for people; of the limits of Limiter
}{
	LimitQueues:        {name: "queues", low: 1, high: 100_000},
	LimitMessageSize:   {name: "message_size", low: 1024, high: 1 << 20},
	LimitRequests:      {name: "requests_per_second", low: 1, high: 1_000_000, free: true, said: "requests a second"},
	LimitBytesIn:       {name: "bytes_in_per_second", low: 1024, high: 1 << 40, free: true, said: "bytes of requests a second"},
	LimitBytesOut:      {name: "bytes_out_per_second", low: 1024, high: 1 << 40, free: true, said: "bytes of answers a second"},
	LimitTopics:        {name: "topics", low: 1, high: 10_000},
	LimitSubscriptions: {name: "topic_subscriptions", low: 1, high: 1000},
	LimitSchedules:     {name: "queue_schedules", low: 1, high: 1000},
	LimitKeys:          {name: "keys", low: 1, high: 1000},
	LimitWaiting:       {name: "waiting_receives", low: 1, high: 1_000_000, free: true},
	LimitStored:        {name: "stored_bytes", low: 1 << 20, high: 1 << 50, free: true},
}

// String returns the name of a limit in the API.
func (l Limit) String() string { return limits[l].name }

// Range returns the least and the largest value of a limit.
func (l Limit) Range() (low, high int64) { return limits[l].low, limits[l].high }

// LimitNames returns the names of all limits, in the order of their numbers.
func LimitNames() []string {
	names := make([]string, limitCount)
	for i, l := range limits {
		names[i] = l.name
	}
	return names
}

// LimitNamed returns the limit with a name, and false where there is none.
func LimitNamed(name string) (Limit, bool) {
	for i, l := range limits {
		if l.name == name {
			return Limit(i), true
		}
	}
	return 0, false
}

// Reached returns e, an error of kind Quota or one like it, for a tenant that has used as much of a limit as it may have.
func (l Limit) Reached(e *errs.Error, most, used int64) error {
	c := *e
	c.Usage = &errs.Usage{Quota: l.String(), Limit: most, Used: used}
	return &c
}

// Limits are values of limits; 0 says nothing of one.
type Limits [limitCount]int64

// over returns l, with what it says nothing of taken from below.
func (l Limits) over(below Limits) Limits {
	for i, n := range l {
		if n == 0 {
			l[i] = below[i]
		}
	}
	return l
}

// builtIn holds for tenants of which nobody says anything.
func builtIn() Limits {
	var l Limits
	for i := range l {
		if !limits[i].free {
			l[i] = limits[i].high
		}
	}
	return l
}

// check refuses values that are out of range. at is the JSON Pointer of the limits.
func (l Limits) check(at string) error {
	for i, n := range l {
		if n != 0 && (n < limits[i].low || n > limits[i].high) {
			return errs.Invalidf(at+"/"+limits[i].name, "must be %d to %d, got %d", limits[i].low, limits[i].high, n)
		}
	}
	return nil
}

// MarshalJSON writes what the limits say, by name. Equal limits have the same text.
func (l Limits) MarshalJSON() ([]byte, error) {
	said := map[string]int64{}
	for i, n := range l {
		if n != 0 {
			said[limits[i].name] = n
		}
	}
	return json.Marshal(said) // sorted by name
}

// UnmarshalJSON reads what MarshalJSON wrote. Limits that it does not know are those of a newer server, and left out.
func (l *Limits) UnmarshalJSON(text []byte) error {
	said := map[string]int64{}
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("read limits: %w", err)
	}
	*l = Limits{}
	for name, n := range said {
		if i, ok := LimitNamed(name); ok {
			l[i] = n
		}
	}
	return nil
}
