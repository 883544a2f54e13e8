package monitor

import (
	"strconv"
	"strings"

	"github.com/sluicemq/sluice/queues"
)

// Values are what a queue had at an instant, and what it did since it was made. lua/tally.lua knows the order.
type Values [columns]int64

// The members of Values. Those before Sent are counts of an instant.
const (
	Available = iota
	InFlight
	Delayed
	// Oldest is when the oldest message was sent that a receive could return, in milliseconds since 1970; 0: there is none.
	Oldest
	Bytes
	Sent
	Received
	Deleted
	Expired
	DeadLettered
	columns
)

func valuesOf(st queues.Stats) Values {
	v := Values{
		Available: st.Available, InFlight: st.InFlight, Delayed: st.Delayed, Bytes: st.Bytes,
		Sent: st.Sent, Received: st.Received, Deleted: st.Deleted, Expired: st.Expired, DeadLettered: st.DeadLettered,
	}
	if st.OldestAge > 0 {
		v[Oldest] = st.Now.Add(-st.OldestAge).UnixMilli()
	}
	return v
}

func (v Values) String() string {
	b := make([]byte, 0, 64)
	for i, n := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(b)
}

// parseValues reads what String has written. Members that are missing are 0: an older server wrote it.
func parseValues(s string) (v Values, ok bool) {
	i := 0
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return v, false
		}
		if i < columns {
			v[i] = n
		}
		i++
	}
	return v, true
}

// Sample is the values that were seen in a span of ten seconds.
type Sample struct {
	Span int64 // its number since 1970
	Values
}
