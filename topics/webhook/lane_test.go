package webhook

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/tenants"
)

// Many webhooks whose endpoints ail wait at a host that has no place, and were called for the places of other attempts that have ended.
// They leave these to one behind them whose host is free. It looks inside, because it is about who is called in which order.
func TestWhoCannotTakeAPlaceLeavesItToAnother(t *testing.T) {
	t.Parallel()
	s := &Store{clock: clock.NewFake(time.Now())}
	p := newPusher(s)
	s.pusher = p
	p.fleet.own = 1
	for i := range p.fleet.senders {
		p.fleet.senders[i] = 1
	}
	p.working = maxTurns // the test takes the turns
	var tenant tenants.ID
	ailing := func(uid, host string) *hook {
		h := &hook{id: identity{tenant, uid}, config: &config{host: host}, window: 2 * ailingShare, ails: true, wanted: true}
		p.hooks[h.id] = h
		return h
	}
	nobody := func(when string) {
		t.Helper()
		if h, n := p.next(); h != nil {
			t.Fatalf("%s: %s has a turn for %d attempts", when, h.id.uid, n)
		}
	}
	busy := ailing("busy", "z")
	last := ailing("last", "free")
	p.mu.Lock()
	p.reserve(busy, ailingShare)
	p.onHost("full", hostSlots)
	p.sending += slots / 4 // of others
	for i := range ailingShare + 2 {
		p.enter(ailing(fmt.Sprint("waits", i), "full"))
	}
	p.enter(last)
	p.mu.Unlock()
	for len(p.line) > 0 {
		nobody("while all places are taken")
	}
	for range ailingShare {
		p.mu.Lock()
		p.reserve(busy, -1)
		p.mu.Unlock()
		if h, _ := p.next(); h == last {
			return
		} else if h != nil {
			t.Fatalf("%s has a turn", h.id.uid)
		}
	}
	t.Errorf("the one whose host is free waits, with %d attempts under way of those that ail", p.ailings)
}
