package queues

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Delivery is a message that something else than a client sends to a queue, such as a topic.
type Delivery struct {
	// Sequence is its number at the source, above 0 and below 2⁵³. It grows with each message of a call and from call to
	// call.
	Sequence int64
	Record   []byte // as Record returns it
	GroupID  string // that of the record
	Size     int    // bytes of body and attributes
}

// Delivered is what became of a Deliver.
type Delivered struct {
	// Reached is the sequence number up to which all has come. It is below the one that was asked for when the queue is full.
	Reached int64
	// Refused are the numbers up to Reached of messages that the queue never takes, because they are too large for it.
	Refused []int64
	// Full is why it is below that, when the tenant may store no more; else the queue may.
	Full error
}

// Deliver stores messages from a source in their order, each once however often it is brought and by however many
// servers. The queue remembers for the source up to which number all has come; a call brings what lies between that and
// end. It is an error of the kind errs.Conflict when sends to the queue are paused.
//
// A source is a name of at most 64 letters, digits and dots. ForgetSource removes what is remembered of it.
func (s *Store) Deliver(ctx context.Context, t tenants.ID, queue, source string, list []Delivery, end int64) (Delivered, error) {
	return s.deliverTo(ctx, t, queue, source, list, end, false)
}

// DeliverFitting is Deliver, but it stops before the first message that the queue never takes, which is then the only one of
// Refused: so its source can keep it before anything remembers that it has come past.
func (s *Store) DeliverFitting(ctx context.Context, t tenants.ID, queue, source string, list []Delivery, end int64) (Delivered, error) {
	return s.deliverTo(ctx, t, queue, source, list, end, true)
}

func (s *Store) deliverTo(ctx context.Context, t tenants.ID, queue, source string, list []Delivery, end int64, stop bool) (Delivered, error) {
	var out Delivered
	err := s.with(ctx, t, queue, func(d *desk) error {
		var err error
		out, err = d.deliver(ctx, source, list, end, stop)
		return err
	})
	return out, err
}

// ForgetSource forgets a source that brings nothing any more.
func (s *Store) ForgetSource(ctx context.Context, t tenants.ID, queue, source string) error {
	err := s.with(ctx, t, queue, func(d *desk) error {
		return d.each(func(shard *desk) error {
			_, err := s.engine.Do(ctx, quitScript, shard.keys[:1], sourceLane(source))
			return err
		})
	})
	if errors.Is(err, ErrQueueNotFound) {
		return nil
	}
	return err
}

// sourceLane is the lane of a source among those of servers and tasks.
func sourceLane(source string) string { return "S" + source }

func (d *desk) deliver(ctx context.Context, source string, list []Delivery, end int64, stop bool) (Delivered, error) {
	var out Delivered
	c := d.config.Load()
	fits := func(m *Delivery) bool { return m.Size <= c.MaxMessageSize }
	if c.paused.Send != nil || !allOf(list, fits) {
		// Before it refuses it makes sure that the settings are those of now.
		now, err := d.store.load(ctx, d.at.tenant, d.uid)
		if err != nil {
			return out, err
		}
		d.learn(now)
		if c = now; c.paused.Send != nil {
			return out, c.pausedError()
		}
		kept := make([]Delivery, 0, len(list))
		for i := range list {
			if fits(&list[i]) {
				kept = append(kept, list[i])
			} else {
				out.Refused = append(out.Refused, list[i].Sequence)
				if stop {
					end = list[i].Sequence - 1
					break
				}
			}
		}
		list = kept
	}
	if stop && len(list) == 0 && len(out.Refused) > 0 {
		out.Reached = end
		return out, nil
	}
	var err error
	if d.shards == nil {
		out.Reached, out.Full, err = d.deliverHere(ctx, source, list, end)
	} else {
		out.Reached, out.Full, err = d.deliverSpread(ctx, source, list, end)
	}
	if stop && out.Reached >= end {
		return out, err
	}
	out.Refused = slices.DeleteFunc(out.Refused, func(n int64) bool { return n > out.Reached })
	return out, err
}

// deliverSpread is deliver for a queue with several shards, of which each remembers how far it was brought. Where a message
// goes follows from what it is, so what is brought again goes there again.
func (d *desk) deliverSpread(ctx context.Context, source string, list []Delivery, end int64) (reached int64, full, err error) {
	of := func(i int) int {
		if g := list[i].GroupID; g != "" {
			return d.pick("", g)
		}
		return int(list[i].Sequence % int64(len(d.shards)))
	}
	var mu sync.Mutex
	reached = end
	err = d.spread(len(list), of, func(shard *desk, which []int) error {
		got, refusal, err := shard.deliverHere(ctx, source, choose(list, which), end)
		mu.Lock()
		defer mu.Unlock()
		reached, full = min(reached, got), cmp.Or(full, refusal)
		return err
	})
	return reached, full, err
}

// deliverHere brings messages to this shard, as many as go in one step at a time, and returns how far all has come and, where
// the tenant may store no more, its refusal.
func (d *desk) deliverHere(ctx context.Context, source string, list []Delivery, end int64) (reached int64, full, err error) {
	ids := make([]engine.ID, len(list))
	for i := range ids {
		ids[i] = d.store.engine.NewID(d.index)
	}
	for first := true; first || len(list) > 0; first = false {
		n, size, most := 0, 0, d.config.Load().together()
		for n < len(list) && n < most && (n == 0 || size+len(list[n].Record) <= callBytes) {
			size += len(list[n].Record)
			n++
		}
		upTo := end
		if n < len(list) {
			upTo = list[n-1].Sequence
		}
		if reached, full, err = d.bringIn(ctx, source, list[:n], ids[:n], upTo); err != nil || reached < upTo {
			return reached, full, err
		}
		list, ids = list[n:], ids[n:]
	}
	return reached, nil, nil
}

func allOf(list []Delivery, ok func(*Delivery) bool) bool {
	return !slices.ContainsFunc(list, func(m Delivery) bool { return !ok(&m) })
}

// bringIn makes one call of deliver.lua, and more of them while messages are dropped to make room.
func (d *desk) bringIn(ctx context.Context, source string, list []Delivery, ids []engine.ID, upTo int64) (reached int64, full, err error) {
	storable, err := d.most(ctx)
	if err != nil {
		return 0, nil, err
	}
	flag, w := "0", drawer{desk: d, most: storable, how: tenants.DrawSome}
	args := func(c *config) []any {
		most := 0
		if d.store.engine.Memory() {
			most = memoryMessages / c.Shards
		}
		flag = d.waiters.flag()
		args := make([]any, 0, 6+3*len(list))
		args = append(args, flag, most, d.caps(c), c.Delay.Milliseconds(), c.ForwardTo, w.mode())
		for i := range list {
			head := ids[i][:]
			if g := list[i].GroupID; g != "" {
				head = append(head[:len(head):len(head)], groupDigest(g)...)
			}
			args = append(args, list[i].Sequence, head, list[i].Record)
		}
		return args
	}
	reply, err := w.run(ctx, 1, func() ([]any, error) {
		return d.numbered(ctx, deliverScript, &lane{field: sourceLane(source), seq: upTo}, args)
	})
	if errors.Is(err, errLate) {
		return upTo, nil, nil // another server has brought it, and more
	}
	if err != nil {
		return 0, nil, err
	}
	if engine.Text(reply, 0) != "ok" {
		return 0, nil, refused(engine.Text(reply, 0))
	}
	d.pushedOut(reply, 5)
	switch ready, due := engine.Number(reply, 3), engine.Number(reply, 4); {
	case flag == "1" && (ready > 0 || due > 0):
		d.waiters.wake(int(ready), time.Duration(due)*time.Millisecond)
	case ready > 0 && d.first().shards != nil:
		d.waiters.hint()
	}
	return engine.Number(reply, 2), w.full, nil
}

// Record returns a message as queues store it, for Deliver and ParseRecord. What concerns its time is left out: delay,
// end, retries and priority.
func (m *Outgoing) Record() []byte {
	plain := Outgoing{Body: m.Body, ContentType: m.ContentType, Attributes: m.Attributes, TraceParent: m.TraceParent,
		GroupID: m.GroupID, DeduplicationID: m.DeduplicationID, Subject: m.Subject, HTTP: m.HTTP, HTTPS: m.HTTPS, Hops: m.Hops}
	return appendRecord(make([]byte, 0, len(m.Body)+64), &plain, nil)
}

// Letter is Record for a message that comes from somewhere else.
func (m *Outgoing) Letter(o *Origin) []byte {
	plain := Outgoing{Body: m.Body, ContentType: m.ContentType, Attributes: m.Attributes, TraceParent: m.TraceParent,
		GroupID: m.GroupID, DeduplicationID: m.DeduplicationID, Hops: m.Hops}
	return appendRecord(make([]byte, 0, len(m.Body)+128), &plain, o)
}

// ParseRecord reads what Record returned. The texts share its memory.
func ParseRecord(record string) (Outgoing, error) {
	var m Message
	f, err := parseRecord(noStamp+record, &m)
	if err != nil {
		return Outgoing{}, fmt.Errorf("read a record: %w", err)
	}
	return Outgoing{Body: []byte(m.Body), ContentType: m.ContentType, Attributes: m.Attributes, TraceParent: m.TraceParent,
		GroupID: m.GroupID, DeduplicationID: m.DeduplicationID, Subject: f.subject, HTTP: f.http, HTTPS: f.https, Hops: m.Hops}, nil
}

// noStamp stands where scripts write the stamp of a record.
const noStamp = "\x00\x00\x00\x00\x00\x00\x00"

// RecognisedBy returns by what a FIFO queue, or one that is sent an idempotency key, tells that two messages are the same:
// the digest of the key, 16 bytes, and that of the content, 8 bytes, which must then be the same. Nil: by nothing.
func (m *Outgoing) RecognisedBy(s Settings) []byte { return m.dedupKey(s) }
