package server_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// holding is one delivery of a message: who had it, from when to when, and what its consumer did with it.
type holding struct {
	message  string
	count    int
	from, to time.Time // by the queue's clock; to moves when the lease is extended
	begun    time.Time // when the receive was begun, by the test's clock
	handle   string

	late    bool      // its consumer acted when the lease may have been over
	status  int       // of its ack or its extension; 0: none
	acked   time.Time // when the confirmation of its ack came, by the test's clock
	ackFrom time.Time // when that ack was begun
}

// holders is what many consumers of two servers, most of them too slow, did with the messages of one queue.
type holders struct {
	mu       sync.Mutex
	holdings []*holding
	sent     int
	took     time.Duration
}

var holdersRun struct {
	sync.Once
	*holders
}

// runHolders lets consumers with leases of a second act around the ends of their leases.
func runHolders(t *testing.T) *holders {
	t.Helper()
	holdersRun.Do(func() { holdersRun.holders = driveHolders(t) })
	if holdersRun.holders == nil {
		t.Fatal("the run has failed")
	}
	return holdersRun.holders
}

func driveHolders(t *testing.T) *holders {
	t.Helper()
	const lease = time.Second
	messages := 400
	if testing.Short() {
		messages = 60
	}
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	urls := []string{a.URL(), b.URL()}
	queue := newQueue(t, a.URL(), a.Key, `{"visibility_timeout":1}`)
	for i := range messages {
		must(t, http.StatusCreated, nil, http.MethodPost, urls[i%2]+"/v1/queues/"+queue+"/messages", a.Key, fmt.Sprint("m", i))
	}
	h := &holders{sent: messages}
	var done atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for number := range 24 {
		wg.Go(func() {
			chance := seededQuietly(uint64(number))
			for int(done.Load()) < messages && time.Since(begin) < time.Minute {
				url := urls[chance.IntN(2)]
				begun := time.Now()
				var got struct{ Messages []received }
				answer := try(http.MethodPost, url+"/v1/queues/"+queue+"/receive?max=3&wait=1", a.Key, "")
				if answer.status != http.StatusOK || json.Unmarshal([]byte(answer.body), &got) != nil {
					t.Errorf("receive: %s", answer)
					return
				}
				for _, m := range got.Messages {
					x := &holding{message: m.ID, count: m.ReceiveCount, from: m.LeaseExpiresAt.Add(-lease), to: m.LeaseExpiresAt, begun: begun, handle: m.AckURL}
					h.mu.Lock()
					h.holdings = append(h.holdings, x)
					h.mu.Unlock()
				}
				// Nothing in the queue, or a stall: short, just around the end of the lease, or far over it.
				if len(got.Messages) > 0 {
					stall := []time.Duration{0, lease - 5*time.Millisecond, lease, lease + 5*time.Millisecond, lease + 300*time.Millisecond}[chance.IntN(5)]
					time.Sleep(max(stall-time.Since(begun), 0))
				}
				for _, m := range got.Messages {
					h.act(urls[chance.IntN(2)], a.Key, h.find(m), chance, lease, &done)
				}
			}
		})
	}
	wg.Wait()
	h.took = time.Since(begin)
	if int(done.Load()) < messages {
		t.Errorf("only %d of %d messages were acknowledged within %s", done.Load(), messages, h.took)
	}
	return h
}

func seededQuietly(number uint64) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), number))
}

func (h *holders) find(m received) *holding {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.holdings, func(x *holding) bool { return x.handle == m.AckURL })
	return h.holdings[i]
}

// act acknowledges, extends, or does nothing.
func (h *holders) act(url, key string, x *holding, chance *rand.Rand, lease time.Duration, done *atomic.Int64) {
	begun := time.Now()
	late := begun.After(x.begun.Add(lease - 20*time.Millisecond))
	var a answer
	var to time.Time
	switch chance.IntN(4) {
	case 0:
		return // it has died
	case 1:
		a = try(http.MethodPatch, url+x.handle, key, `{"visibility_timeout":1}`)
		var r struct {
			LeaseExpiresAt time.Time `json:"lease_expires_at"`
		}
		if a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &r) == nil {
			to = r.LeaseExpiresAt
		}
	default:
		a = try(http.MethodDelete, url+x.handle, key, "")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x.late, x.status = late, a.status
	switch {
	case !to.IsZero():
		x.to = to
	case a.status == http.StatusNoContent:
		x.acked, x.ackFrom = time.Now(), begun
		for _, y := range h.holdings { // the first of this message
			if y != x && y.message == x.message && !y.acked.IsZero() {
				return
			}
		}
		done.Add(1)
	}
}

// byMessage returns the deliveries of each message in their order.
func (h *holders) byMessage() map[string][]*holding {
	all := map[string][]*holding{}
	for _, x := range h.holdings {
		all[x.message] = append(all[x.message], x)
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b *holding) int { return a.count - b.count })
	}
	return all
}

func TestG3_NobodyElseGetsAMessageDuringItsLease(t *testing.T) {
	t.Parallel()
	h := runHolders(t)
	again, early, slack := 0, 0, time.Hour
	for id, list := range h.byMessage() {
		for i := 1; i < len(list); i++ {
			again++
			gap := list[i].from.Sub(list[i-1].to)
			slack = min(slack, gap)
			if gap < 0 {
				early++
				t.Errorf("message %s was given away again %s before its lease was over", id, -gap)
			}
			if list[i].count == list[i-1].count {
				t.Errorf("message %s was delivered twice as number %d", id, list[i].count)
			}
		}
	}
	t.Logf("%d messages, %d deliveries after the first, %d early, the closest %s after the lease", h.sent, again, early, slack)
	if again < h.sent/4 {
		t.Errorf("only %d messages came again: nothing was tried", again)
	}
}

func TestG4_AnOldReceiptTouchesNothing(t *testing.T) {
	t.Parallel()
	h := runHolders(t)
	late, refused, effects := 0, 0, 0
	for id, list := range h.byMessage() {
		for i, x := range list {
			if x.late && x.status != 0 {
				late++
			}
			switch x.status {
			case 0, http.StatusOK: // an extension that was granted moved the lease, which G3 judges
			case http.StatusGone:
				refused++
				// The newest receipt acks even when its time is over, so a refusal means that another came, or that
				// this was an extension that came too late.
			case http.StatusNoContent:
				newer := list[i+1:]
				if len(newer) == 0 {
					continue
				}
				// It may only have been told that the message is gone already.
				if !slices.ContainsFunc(newer, func(y *holding) bool { return !y.acked.IsZero() && y.ackFrom.Before(x.acked) }) {
					effects++
					t.Errorf("message %s: the receipt of delivery %d acknowledged it, although somebody had delivery %d", id, x.count, newer[0].count)
				}
			default:
				t.Errorf("message %s, delivery %d: status %d", id, x.count, x.status)
			}
		}
	}
	t.Logf("%d late acts, %d refused, effects %d", late, refused, effects)
	if refused == 0 {
		t.Error("nobody came too late: nothing was tried")
	}
}

func TestG5_AnAcknowledgedMessageNeverComesBack(t *testing.T) {
	t.Parallel()
	h := runHolders(t)
	acked, risen := 0, 0
	for id, list := range h.byMessage() {
		first := time.Time{}
		for _, x := range list {
			if !x.acked.IsZero() && (first.IsZero() || x.acked.Before(first)) {
				first = x.acked
			}
		}
		if first.IsZero() {
			continue
		}
		acked++
		for _, x := range list {
			if x.begun.After(first) {
				risen++
				t.Errorf("message %s was delivered again %s after its ack was confirmed", id, x.begun.Sub(first))
			}
		}
	}
	t.Logf("%d acknowledged in %s, %d came back", acked, h.took.Round(time.Millisecond), risen)
}
