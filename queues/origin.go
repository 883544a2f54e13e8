package queues

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

// Reason says why a message is not in the queue to which it was sent.
type Reason string

// The reasons.
const (
	MaxReceives Reason = "max_receives" // it was received as often as the queue's redrive policy allows
	Rejected    Reason = "rejected"     // its consumer gave it up
	Overflow    Reason = "overflow"     // the queue was full and it was the oldest
	Moved       Reason = "moved"        // someone moved it
	Undelivered Reason = "undelivered"  // a topic could not deliver it for good
)

// reasons by the letters of lua/outbox.lua, which also stand in records.
var reasons = map[byte]Reason{'x': MaxReceives, 'd': Rejected, 'o': Overflow, 'm': Moved, undelivered: Undelivered}

// undelivered is the letter of a message that no queue had before, but a subscription of a topic.
const undelivered = 'u'

// Origin says where a message came from that was not sent to the queue in which it is.
type Origin struct {
	Queue string // the name of the queue in which it was before, or "" where it comes from a topic
	// Topic and Subscription say which topic could not deliver it to which of its subscriptions, where the reason is Undelivered.
	Topic, Subscription string
	Reason              Reason
	Error               string    // what a consumer said of it last, or why it was not delivered, or ""
	At                  time.Time // when it left that queue or topic
	ID                  engine.ID // the message's id there
	// Receives is how often it was received before, and FirstReceivedAt when for the first time. A message that was moved
	// begins anew: then they are zero.
	Receives        int
	FirstReceivedAt time.Time
}

func appendOrigin(dst []byte, o *Origin) []byte {
	letter := byte('m')
	for l, r := range reasons {
		if r == o.Reason {
			letter = l
		}
	}
	from := o.Queue
	if letter == undelivered {
		from = o.Topic + "/" + o.Subscription
	}
	dst = appendText(append(dst, letter), from)
	dst = appendText(dst, o.Error)
	dst = append(dst, o.ID[:]...)
	first := uint64(0)
	if !o.FirstReceivedAt.IsZero() {
		first = uint64(o.FirstReceivedAt.UnixMilli())
	}
	for _, n := range []uint64{uint64(o.At.UnixMilli()), uint64(o.Receives), first} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

func (r *recordReader) origin() *Origin {
	letter := r.take(1)
	o := &Origin{Queue: r.text(), Error: r.text()}
	copy(o.ID[:], r.take(engine.IDSize))
	at, receives, first := r.long(), r.long(), r.long()
	if letter == "" || reasons[letter[0]] == "" {
		r.failed = true
		return nil
	}
	o.Reason, o.At, o.Receives = reasons[letter[0]], time.UnixMilli(at).UTC(), int(receives)
	if o.Reason == Undelivered {
		o.Topic, o.Subscription, _ = strings.Cut(o.Queue, "/")
		o.Queue = ""
	}
	if first > 0 {
		o.FirstReceivedAt = time.UnixMilli(first).UTC()
	}
	return o
}
