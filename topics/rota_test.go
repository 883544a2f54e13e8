package topics

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/tenants"
)

// turns is a rota whose time the test sets.
type turns struct {
	rota[string]
	at time.Duration
}

func newTurns(most int) *turns {
	r := &turns{rota: newRota[string](most)}
	r.now = func() time.Duration { return r.at }
	return r
}

var crowd, quiet, third = tenantOf("0000000001"), tenantOf("0000000002"), tenantOf("0000000003")

func tenantOf(s string) tenants.ID {
	id, _ := tenants.ParseID(s)
	return id
}

func (r *turns) wait(t tenants.ID, names ...string) {
	for _, name := range names {
		r.add(t, name)
	}
}

// begin takes up to n things, and returns their names.
func (r *turns) begin(n int) string {
	var list []string
	for range n {
		_, name, ok := r.next()
		if !ok {
			break
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

func (r *turns) end(t tenants.ID, n int, took time.Duration) {
	for range n {
		r.done(t, took)
	}
}

func TestTenantsThatHadAsMuchTakeTurns(t *testing.T) {
	t.Parallel()
	r := newTurns(100)
	r.wait(crowd, "c1", "c2", "c3", "c4")
	r.wait(quiet, "q1", "q2")
	r.wait(third, "t1")
	if got := r.begin(10); got != "c1 q1 t1 c2 q2 c3 c4" {
		t.Errorf("the order is %s", got)
	}
	if _, _, ok := r.next(); ok {
		t.Error("there is something left")
	}
}

// All that a tenant with little to do wants is next, whatever one with much has under way and waiting.
func TestATenantThatHadLittleTimeIsNext(t *testing.T) {
	t.Parallel()
	r := newTurns(100)
	r.wait(crowd, "c1", "c2", "c3", "c4", "c5")
	r.begin(3)
	r.at += 20 * time.Millisecond
	r.end(crowd, 3, 20*time.Millisecond)
	r.wait(quiet, "q1", "q2", "q3")
	if got := r.begin(5); got != "q1 q2 q3 c4 c5" {
		t.Errorf("the order is %s", got)
	}
}

// What takes long counts for as long as it took: one that has few slow things does not have more of all than one with many fast ones.
func TestSlowThingsCountForMore(t *testing.T) {
	t.Parallel()
	r := newTurns(100)
	r.wait(crowd, "c1", "c2", "c3", "c4", "c5", "c6")
	r.wait(third, "s1", "s2")
	if got := r.begin(2); got != "c1 s1" {
		t.Fatalf("first came %s", got)
	}
	r.at += 50 * time.Millisecond
	r.end(crowd, 1, time.Millisecond)
	r.end(third, 1, 50*time.Millisecond)
	if got := r.begin(6); got != "c2 c3 c4 c5 c6 s2" {
		t.Errorf("then came %s", got)
	}
}

// A tenant that had all while nobody else wanted any is not made to wait for long.
func TestWhatATenantHadIsForgotten(t *testing.T) {
	t.Parallel()
	r := newTurns(100)
	for range 1_000 {
		r.wait(crowd, "c")
		r.begin(1)
		r.at += time.Millisecond
		r.end(crowd, 1, time.Millisecond)
	}
	begun := map[tenants.ID]int{}
	for range 400 { // in which the other one wants all
		r.wait(crowd, "c")
		r.wait(third, "t")
		of, _, _ := r.next()
		begun[of]++
		r.at += time.Millisecond
		r.end(of, 1, time.Millisecond)
	}
	if n := begun[crowd]; n < 100 || n > 200 {
		t.Errorf("of 400 turns it had %d", n)
	}
	for i := range 1_000 {
		id := tenantOf(fmt.Sprintf("%010d", i+10))
		r.wait(id, "x")
	}
	for r.begin(1) != "" {
	}
	for id, e := range r.known {
		r.end(id, e.busy, 0)
	}
	r.at += 2 * forgotten
	for i := range 3_000 {
		r.wait(tenantOf(fmt.Sprintf("%010d", i+2_000)), "x")
	}
	for id, e := range r.known {
		if len(e.waiting) == 0 {
			t.Errorf("tenant %v is still known", id)
		}
	}
}

// While another one was there that had less time, a tenant leaves room for what that one wants next.
func TestATenantLeavesRoomForOneThatHadLess(t *testing.T) {
	t.Parallel()
	r := newTurns(8)
	r.wait(quiet, "q1")
	r.begin(1)
	r.end(quiet, 1, time.Millisecond)
	r.wait(crowd, "c0")
	r.begin(1)
	r.at += 20 * time.Millisecond
	r.end(crowd, 1, 20*time.Millisecond)
	r.wait(crowd, "c1", "c2", "c3", "c4", "c5", "c6")
	if got := r.begin(8); got != "c1 c2" {
		t.Errorf("beside the other one there are %s", got)
	}
	r.wait(quiet, "q2", "q3", "q4", "q5")
	if got := r.begin(6); got != "q2 q3 q4 q5" {
		t.Errorf("what the other one wants: %s", got)
	}
	r.at += time.Millisecond
	r.end(crowd, 1, time.Millisecond)
	if got := r.begin(8); got != "c3" {
		t.Errorf("in the place of one: %s", got)
	}
	r.end(quiet, 4, time.Millisecond)
	r.at += rivalry
	if got := r.begin(8); got != "c4 c5 c6" {
		t.Errorf("when nobody else was there for long: %s", got)
	}
}

// However many pass, no more are done at the same time than may be, and all are done.
func TestATurnstileBoundsWhatIsDone(t *testing.T) {
	t.Parallel()
	const most, each = 4, 200
	s := newTurnstile(most)
	var busy, done atomic.Int64
	var over atomic.Bool
	var all sync.WaitGroup
	for range each {
		for _, of := range []tenants.ID{crowd, quiet, third} {
			all.Add(1)
			s.pass(of, func() {
				defer all.Done()
				if busy.Add(1) > most {
					over.Store(true)
				}
				done.Add(1)
				busy.Add(-1)
			})
		}
	}
	all.Wait()
	if over.Load() || done.Load() != 3*each {
		t.Errorf("%d were done, more than %d at the same time: %v", done.Load(), most, over.Load())
	}
}
