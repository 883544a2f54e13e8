package server_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load drives one queue over HTTP with producers and consumers that take every error for what it says, and keeps books
// of what each message's sender was told and of each time that somebody received it. What the books must show at the
// end is checked without asking the server anything but "is there more?".
type load struct {
	tb      testing.TB
	key     string
	queue   string
	lease   time.Duration
	groups  bool     // the queue is FIFO, and each producer sends to a group of its own
	servers []string // addresses, of which each call takes one at random
	client  *http.Client

	rest      func() // called while nobody uses the queue, with what is left in it
	stop      context.CancelFunc
	ctx       context.Context //nolint:containedctx // ends the producers and the consumers of this load
	producers sync.WaitGroup
	consumers sync.WaitGroup

	mu     sync.Mutex
	books  map[string]*entry // by body
	strays []string          // bodies that nobody sent

	acked    atomic.Int64 // sends that were confirmed
	statuses sync.Map     // what calls ended with → *atomic.Int64
}

// told is what a sender knows of its message.
type told int

const (
	pending told = iota // nothing yet
	unknown             // no answer, or one that says so: it may be stored
	stored              // confirmed
	refused             // certainly not stored
)

// entry is one message in the books.
type entry struct {
	told       told
	begun, at  time.Time // when the call that confirmed it was sent, and when it was confirmed
	ids        []string  // under which it was delivered; more than one is a copy
	deliveries []delivery
	acked      time.Time // when the confirmation of an ack arrived
	risen      int       // deliveries to receives that were begun after that
}

// delivery is the time for which a consumer had a message to itself, by the server's clock.
type delivery struct{ from, to time.Time }

// loadOptions say how hard to drive.
type loadOptions struct {
	producers, consumers int
	pause                time.Duration   // of a producer between two calls
	groups               bool            // a FIFO queue with a group for each producer
	transport            *http.Transport // default: one that keeps its connections
}

// startLoad begins to drive a new queue.
func startLoad(tb testing.TB, key string, servers []string, opt loadOptions) *load {
	tb.Helper()
	const lease = 3 * time.Second
	l := &load{
		tb: tb, key: key, servers: servers, lease: lease, groups: opt.groups, books: map[string]*entry{},
		client: &http.Client{Transport: cmp.Or(opt.transport, &http.Transport{MaxIdleConnsPerHost: 100}), Timeout: 20 * time.Second},
	}
	l.queue = newQueue(tb, servers[0], key, fmt.Sprintf(`{"visibility_timeout":%d}`, int(lease.Seconds())))
	if opt.groups {
		l.queue += ".fifo"
		must(tb, http.StatusCreated, nil, http.MethodPut, servers[0]+"/v1/queues/"+l.queue, key,
			fmt.Sprintf(`{"visibility_timeout":%d,"fifo":{"content_based_deduplication":true}}`, int(lease.Seconds())))
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	for i := range opt.producers {
		l.producers.Go(func() { l.produce(i, opt.pause) })
	}
	for i := range opt.consumers {
		l.consumers.Go(func() { l.consume(l.ctx, i) })
	}
	tb.Cleanup(func() {
		l.stop()
		l.producers.Wait()
		l.consumers.Wait()
		l.client.CloseIdleConnections()
	})
	return l
}

func (l *load) url(path string) string {
	return l.servers[rand.IntN(len(l.servers))] + "/v1/queues/" + l.queue + path
}

// count notes how a call ended, for the report.
func (l *load) count(what string) {
	n, _ := l.statuses.LoadOrStore(what, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// pause waits a moment, shorter when the load ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// itemsPerBatch is how many messages the producers of batches send at once.
const itemsPerBatch = 5

// produce sends until the load ends. Producers differ: one or many messages in a call, with or without a key by which
// the same call can be repeated until its outcome is known.
func (l *load) produce(number int, gap time.Duration) {
	many, keyed := number%2 == 1, number%4 >= 2
	for n := 0; l.ctx.Err() == nil; n++ {
		bodies := []string{fmt.Sprintf("p%d-%d", number, n)}
		if many {
			bodies = bodies[:0]
			for i := range itemsPerBatch {
				bodies = append(bodies, fmt.Sprintf("p%d-%d-%d", number, n, i))
			}
		}
		l.mu.Lock()
		for _, b := range bodies {
			l.books[b] = &entry{}
		}
		l.mu.Unlock()
		var headers []string
		if keyed {
			headers = []string{"Idempotency-Key", bodies[0]}
		}
		for {
			begun := time.Now()
			fates := l.send(bodies, many, headers)
			l.note(bodies, fates, begun)
			// A repeated call ends with the load, too: then the outcome stays what it is.
			if !keyed || !slices.Contains(fates, unknown) && !slices.Contains(fates, refused) || l.ctx.Err() != nil {
				break
			}
			pause(l.ctx, 20*time.Millisecond)
		}
		pause(l.ctx, gap)
	}
}

// note enters what the sender was told. What was confirmed once stays so, and what is refused after its outcome was
// unknown is still unknown: the refusal speaks of the repetition.
func (l *load) note(bodies []string, fates []told, begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range bodies {
		e := l.books[b]
		switch {
		case e.told == stored:
		case fates[i] == stored:
			e.told, e.begun, e.at = stored, begun, time.Now()
			l.acked.Add(1)
		case fates[i] == refused && e.told != unknown:
			e.told = refused
		default:
			e.told = unknown
		}
	}
}

// send makes one call and says what became of each message.
func (l *load) send(bodies []string, many bool, headers []string) []told {
	fates := make([]told, len(bodies))
	path, body := "/messages", bodies[0]
	group, _, _ := strings.Cut(body, "-")
	switch {
	case many:
		path, body = "/messages/batch", strings.Join(bodies, "\n")
		if l.groups {
			lines := make([]string, len(bodies))
			for i, b := range bodies {
				lines[i] = fmt.Sprintf(`{"body":%q,"group_id":%q}`, b, group)
			}
			path, body = path+"?lines=envelope", strings.Join(lines, "\n")
		}
		headers = append([]string{"Content-Type", "application/x-ndjson"}, headers...)
	case l.groups:
		headers = append([]string{"Message-Group-Id", group}, headers...)
	}
	a := ask(context.Background(), l.client, http.MethodPost, l.url(path), l.key, body, headers...)
	whole := l.fate("send", a)
	for i := range fates {
		fates[i] = whole
	}
	if !many || whole != stored {
		return fates
	}
	var list struct {
		Results []struct {
			Status int
			Error  struct{ Code string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Results) != len(bodies) {
		l.tb.Errorf("send a batch of %d: %s", len(bodies), a)
		return fates
	}
	for i, r := range list.Results {
		fates[i] = l.judge("item", r.Status, r.Error.Code, a)
	}
	return fates
}

// fate says what an answer means for what was sent.
func (l *load) fate(what string, a answer) told {
	if a.err != nil {
		if op, ok := errors.AsType[*net.OpError](a.err); ok && op.Op == "dial" {
			l.count(what + " no connection")
			return refused
		}
		l.count(what + " no answer")
		return unknown
	}
	if a.status == http.StatusMultiStatus {
		return stored // of which each item says more
	}
	return l.judge(what, a.status, a.code(), a)
}

func (l *load) judge(what string, status int, code string, a answer) told {
	switch {
	case status < 300:
		l.count(what + " ok")
		return stored
	case status == http.StatusServiceUnavailable && code == "outcome_unknown":
		l.count(what + " outcome_unknown")
		return unknown
	case status == http.StatusServiceUnavailable && code == "not_ready", status == http.StatusInsufficientStorage:
		l.count(what + " " + code)
		return refused
	}
	l.tb.Errorf("%s: unexpected answer %s", what, a)
	return unknown
}

// received is a message as a consumer sees it.
type received struct {
	ID             string
	ReceiptHandle  string    `json:"receipt_handle"`
	AckURL         string    `json:"ack_url"`
	Body           string    `json:"body"`
	ReceiveCount   int       `json:"receive_count"`
	LeaseExpiresAt time.Time `json:"lease_expires_at"`
}

// consume receives until ctx ends. Consumers differ in how they acknowledge: one by one, many at once, or with the next
// receive. One message in twenty is left to its lease, as by a consumer that has died.
func (l *load) consume(ctx context.Context, number int) {
	var carried []received
	for n := 0; ctx.Err() == nil; n++ {
		body := ""
		if len(carried) > 0 {
			body = ackList(carried)
		}
		begun := time.Now()
		a := ask(ctx, l.client, http.MethodPost, l.url("/receive?max=10&wait=1"), l.key, body)
		var got struct {
			Messages []received
			Acked    []struct{ Status int }
		}
		if a.err != nil || a.status != http.StatusOK {
			if ctx.Err() == nil {
				l.fate("receive", a)
			}
			carried = nil
			pause(ctx, 20*time.Millisecond)
			continue
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			l.tb.Errorf("receive: %v in %s", err, a)
			return
		}
		l.count("receive ok")
		for i, r := range got.Acked {
			l.noteAck(carried[i], r.Status)
		}
		carried = nil
		l.noteDeliveries(got.Messages, begun)
		if l.ctx.Err() == nil { // while the load lasts; later everything is acknowledged
			got.Messages = slices.DeleteFunc(got.Messages, func(received) bool { return rand.IntN(20) == 0 })
		}
		if len(got.Messages) == 0 {
			continue
		}
		switch (number + n) % 3 {
		case 0:
			carried = got.Messages
		case 1:
			l.ackMany(ctx, got.Messages)
		default:
			for _, m := range got.Messages {
				a := ask(ctx, l.client, http.MethodDelete, l.servers[rand.IntN(len(l.servers))]+m.AckURL, l.key, "")
				l.countAck(ctx, a)
				l.noteAck(m, a.status)
			}
		}
	}
	if len(carried) > 0 {
		l.ackMany(context.Background(), carried)
	}
}

func ackList(list []received) string {
	handles := make([]string, len(list))
	for i, m := range list {
		handles[i] = m.ReceiptHandle
	}
	raw, _ := json.Marshal(map[string][]string{"ack": handles})
	return string(raw)
}

func (l *load) ackMany(ctx context.Context, list []received) {
	a := ask(ctx, l.client, http.MethodPost, l.url("/ack"), l.key, ackList(list))
	l.countAck(ctx, a)
	var got struct{ Results []struct{ Status int } }
	if a.err != nil || a.status >= 300 || json.Unmarshal([]byte(a.body), &got) != nil {
		return
	}
	for i, r := range got.Results {
		l.noteAck(list[i], r.Status)
	}
}

// countAck notes whether a request that acknowledges was answered, also where a lease was over.
func (l *load) countAck(ctx context.Context, a answer) {
	if a.err == nil && a.status < http.StatusInternalServerError {
		l.count("ack ok")
	} else if ctx.Err() == nil {
		l.count("ack failed")
	}
}

// noteDeliveries enters what a receive brought that was begun at begun.
func (l *load) noteDeliveries(list []received, begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range list {
		e := l.books[m.Body]
		if e == nil {
			l.strays = append(l.strays, m.Body)
			continue
		}
		if !slices.Contains(e.ids, m.ID) {
			e.ids = append(e.ids, m.ID)
		}
		e.deliveries = append(e.deliveries, delivery{m.LeaseExpiresAt.Add(-l.lease), m.LeaseExpiresAt})
		if !e.acked.IsZero() && begun.After(e.acked) {
			e.risen++
		}
	}
}

func (l *load) noteAck(m received, status int) {
	if status != http.StatusNoContent {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.books[m.Body]; e != nil && e.acked.IsZero() {
		e.acked = time.Now()
	}
}

// report is what the books show.
type report struct {
	attempts, acked, refused, unknown int
	ok                                int      // confirmed and delivered
	lost                              int      // confirmed and never delivered
	recovered                         int      // of unknown outcome, and delivered
	leaked                            int      // refused, and delivered all the same
	strays                            int      // delivered, but nobody sent it
	copies                            int      // stored more than once
	again                             int      // deliveries after the first
	early                             int      // of those, before the lease before was over
	risen                             int      // delivered after its ack was confirmed
	breaks                            int      // of a FIFO queue: delivered first after a later one of its group
	gone                              []*entry // the lost ones
	examples                          []string
}

// finish ends the producers, lets the consumers empty the queue, and reads the books. All faults must be healed.
func (l *load) finish() report {
	l.tb.Helper()
	l.stop()
	l.producers.Wait()
	l.consumers.Wait()
	if l.rest != nil {
		l.rest()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var drains sync.WaitGroup
	for i := range 4 {
		drains.Go(func() { l.consume(ctx, i) })
	}
	empty := 0
	for empty < 2 && ctx.Err() == nil {
		var q struct{ Counts counts }
		a := ask(ctx, l.client, http.MethodGet, l.url(""), l.key, "")
		if a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &q) == nil && q.Counts == (counts{}) {
			empty++
		} else {
			empty = 0
		}
		pause(ctx, 50*time.Millisecond)
	}
	if empty < 2 {
		l.tb.Error("the queue did not become empty within two minutes")
	}
	cancel()
	drains.Wait()
	return l.read()
}

func (l *load) read() report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := report{attempts: len(l.books), strays: len(l.strays)}
	for body, e := range l.books {
		bad := ""
		switch e.told {
		case stored:
			r.acked++
			if len(e.deliveries) > 0 {
				r.ok++
			} else {
				r.lost++
				r.gone = append(r.gone, e)
				bad = "lost"
			}
		case refused:
			r.refused++
			if len(e.deliveries) > 0 {
				r.leaked++
				bad = "leaked"
			}
		default:
			r.unknown++
			if len(e.deliveries) > 0 {
				r.recovered++
			}
		}
		if len(e.ids) > 1 {
			r.copies++
			bad = fmt.Sprint("copies ", e.ids)
		}
		if e.risen > 0 {
			r.risen++
			bad = fmt.Sprint("delivered after its ack of ", e.acked)
		}
		slices.SortFunc(e.deliveries, func(a, b delivery) int { return a.from.Compare(b.from) })
		for i := 1; i < len(e.deliveries); i++ {
			r.again++
			if e.deliveries[i].from.Before(e.deliveries[i-1].to) {
				r.early++
				bad = fmt.Sprint("early ", e.deliveries)
			}
		}
		if bad != "" && len(r.examples) < 5 {
			r.examples = append(r.examples, body+": "+bad)
		}
	}
	if l.groups {
		r.breaks = l.breaks()
	}
	return r
}

// breaks returns how many confirmed messages were delivered for the first time before an earlier one of their group. What
// became of a send of unknown outcome may have happened at any later time. It is called locked, with sorted deliveries.
func (l *load) breaks() (n int) {
	type step struct {
		call, item int
		first      time.Time
	}
	groups := map[string][]step{}
	for body, e := range l.books {
		if e.told != stored || len(e.deliveries) == 0 {
			continue
		}
		s := step{first: e.deliveries[0].from}
		group, rest, _ := strings.Cut(body, "-")
		if _, err := fmt.Sscanf(rest+"-0", "%d-%d", &s.call, &s.item); err != nil {
			l.tb.Errorf("body %q: %v", body, err)
		}
		groups[group] = append(groups[group], s)
	}
	for _, steps := range groups {
		slices.SortFunc(steps, func(a, b step) int { return cmp.Or(a.call-b.call, a.item-b.item) })
		for i := 1; i < len(steps); i++ {
			if steps[i].first.Before(steps[i-1].first) {
				n++
			}
		}
	}
	return n
}

// check fails the test unless the books are in order.
func (l *load) check(what string) report {
	l.tb.Helper()
	r := l.print(what)
	if r.lost+r.leaked+r.strays+r.early+r.copies+r.risen+r.breaks > 0 {
		l.tb.Errorf("%s: lost %d, leaked %d, strays %d, early %d, copies %d, delivered after ack %d, out of order %d; for example %s",
			what, r.lost, r.leaked, r.strays, r.early, r.copies, r.risen, r.breaks, strings.Join(r.examples, "; "))
	}
	return r
}

// print ends the load and prints the figures.
func (l *load) print(what string) report {
	l.tb.Helper()
	r := l.finish()
	l.tb.Logf("%s: sends attempted %d acked %d refused %d unknown %d | ok %d lost %d recovered %d unexpected %d | again %d early %d copies %d delivered after ack %d out of order %d",
		what, r.attempts, r.acked, r.refused, r.unknown, r.ok, r.lost, r.recovered, r.leaked+r.strays, r.again, r.early, r.copies, r.risen, r.breaks)
	var calls []string
	l.statuses.Range(func(k, v any) bool {
		calls = append(calls, fmt.Sprintf("%s %d", k, v.(*atomic.Int64).Load()))
		return true
	})
	slices.Sort(calls)
	l.tb.Logf("%s: calls: %s", what, strings.Join(calls, ", "))
	return r
}
