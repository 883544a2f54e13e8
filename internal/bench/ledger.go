package bench

import (
	"bytes"
	"fmt"
	"strconv"
)

// sent is what a sender knows about one message.
type sent uint8

const (
	unsettled sent = iota // sent, but no answer says whether it is stored
	refused               // certainly not stored
	accepted              // certainly stored
)

// delivery is one message as it arrived: sender in the upper half, counter in the lower.
type delivery uint64

// stray stands for a body that nobody sent in this form.
const stray = ^delivery(0)

func (d delivery) sender() int  { return int(d >> 32) }
func (d delivery) counter() int { return int(d & (1<<32 - 1)) }

// book is what one worker did and saw. Only its worker writes to it.
type book struct {
	padding []byte     // what fills a body up to its size
	sent    []sent     // by counter
	got     []delivery // one for each message that arrived, in that order
	strange []string   // bodies of strays, shortened, at most maxExamples
}

// padding returns what a body of that size is filled with.
func padding(size int) []byte {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	return bytes.Repeat([]byte(alphabet), size/len(alphabet)+1)[:size]
}

// attempt enters n messages that are about to be sent and returns the counter of the first.
func (b *book) attempt(n int) int {
	first := len(b.sent)
	for range n {
		b.sent = append(b.sent, unsettled)
	}
	return first
}

// accepted returns how many messages are certainly stored.
func (b *book) accepted() (n int) {
	for _, s := range b.sent {
		if s == accepted {
			n++
		}
	}
	return n
}

// appendBody appends "<worker>-<counter>-<padding>", as long as the padding unless the numbers alone are longer.
func (b *book) appendBody(dst []byte, worker, counter int) []byte {
	start := len(dst)
	dst = strconv.AppendInt(dst, int64(worker), 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, int64(counter), 10)
	dst = append(dst, '-')
	if used := len(dst) - start; used < len(b.padding) {
		dst = append(dst, b.padding[used:]...)
	}
	return dst
}

// deliver enters a message that arrived. Each byte of the body must be as it was sent.
func (b *book) deliver(body []byte) {
	worker, rest, ok := cutNumber(body)
	counter, rest, ok2 := cutNumber(rest)
	if used := min(len(body)-len(rest), len(b.padding)); ok && ok2 && bytes.Equal(rest, b.padding[used:]) {
		b.got = append(b.got, delivery(worker)<<32|delivery(counter))
		return
	}
	b.got = append(b.got, stray)
	if len(b.strange) < maxExamples {
		b.strange = append(b.strange, fmt.Sprintf("%.40q (%d bytes)", body, len(body)))
	}
}

// cutNumber reads "123-" at the start of b.
func cutNumber(b []byte) (n uint32, rest []byte, ok bool) {
	const longest = 9 // digits, so that n cannot overflow
	for i, c := range b {
		switch {
		case c == '-':
			return n, b[i+1:], i > 0
		case c < '0' || c > '9' || i == longest:
			return 0, b, false
		}
		n = n*10 + uint32(c-'0')
	}
	return 0, b, false
}

// Check is the account of all messages of a run after its queue has been drained.
type Check struct {
	Attempted    int      `json:"attempted"`    // sent, whatever came of it
	Acknowledged int      `json:"acknowledged"` // the server said that it is stored
	Delivered    int      `json:"delivered"`    // different messages that arrived
	Lost         int      `json:"lost"`         // acknowledged, but never arrived
	Duplicated   int      `json:"duplicated"`   // arrivals beyond a message's first
	Unexpected   int      `json:"unexpected"`   // arrivals of what was not sent, was refused, or was changed
	Recovered    int      `json:"recovered"`    // arrived although the send's answer was lost: allowed
	Examples     []string `json:"examples,omitempty"`
}

func (c *Check) add(other Check) {
	c.Attempted += other.Attempted
	c.Acknowledged += other.Acknowledged
	c.Delivered += other.Delivered
	c.Lost += other.Lost
	c.Duplicated += other.Duplicated
	c.Unexpected += other.Unexpected
	c.Recovered += other.Recovered
	c.Examples = append(c.Examples, other.Examples...)
	c.Examples = c.Examples[:min(len(c.Examples), maxExamples)]
}

func (c *Check) example(format string, args ...any) {
	if len(c.Examples) < maxExamples {
		c.Examples = append(c.Examples, fmt.Sprintf(format, args...))
	}
}

// check compares what was attempted, acknowledged and delivered as multisets. It means something only after the queue
// has been drained.
func check(workers []*worker) Check {
	var c Check
	arrived := make([][]bool, len(workers)) // by sender and counter
	for i, w := range workers {
		arrived[i] = make([]bool, len(w.book.sent))
	}
	for _, w := range workers {
		for _, body := range w.book.strange {
			c.example("unexpected: body %s", body)
		}
		for _, d := range w.book.got {
			switch {
			case d == stray:
				c.Unexpected++ // its body is among the examples
			case d.sender() >= len(workers) || d.counter() >= len(arrived[d.sender()]):
				c.Unexpected++
				c.example("unexpected: %d-%d was never sent", d.sender(), d.counter())
			case arrived[d.sender()][d.counter()]:
				c.Duplicated++
				c.example("duplicated: %d-%d", d.sender(), d.counter())
			default:
				arrived[d.sender()][d.counter()] = true
			}
		}
	}
	for i, w := range workers {
		c.Attempted += len(w.book.sent)
		for counter, state := range w.book.sent {
			here := arrived[i][counter]
			if here {
				c.Delivered++
			}
			switch {
			case state == accepted:
				c.Acknowledged++
				if !here {
					c.Lost++
					c.example("lost: %d-%d of %d sent by that worker", i, counter, len(w.book.sent))
				}
			case state == refused && here:
				c.Unexpected++
				c.example("unexpected: %d-%d was refused", i, counter)
			case state == unsettled && here:
				c.Recovered++
			}
		}
	}
	return c
}
