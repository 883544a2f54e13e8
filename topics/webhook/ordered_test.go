package webhook_test

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// groups is an endpoint that keeps a book of each group: what it took first and in which order, and whether two requests of a group
// were ever under way at once. Bodies are the group, "-" and a number. A message fails as often as its body says by chance, in one
// of the ways in which endpoints fail, also after it was taken.
type groups struct {
	*receiver
	mu       sync.Mutex
	took     map[string][]string
	seen     map[string]int    // requests by body
	ids      map[string]string // by body
	under    map[string]int
	overlaps int
	changed  int // messages that came under another id
	refused  func(body string) bool
}

// fate is a number below n that is the same for a body each time.
func fate(body string, n uint32) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(body))
	return h.Sum32() % n
}

func newGroups(tb testing.TB) *groups {
	tb.Helper()
	g := &groups{took: map[string][]string{}, seen: map[string]int{}, ids: map[string]string{}, under: map[string]int{}, refused: func(string) bool { return false }}
	g.receiver = newReceiver(tb, func(r received, rw http.ResponseWriter) {
		var name string
		var number int
		_, _ = fmt.Sscanf(r.body, "%1s-%d", &name, &number)
		g.mu.Lock()
		if g.under[name]++; g.under[name] > 1 {
			g.overlaps++
		}
		g.mu.Unlock()
		defer func() {
			g.mu.Lock()
			g.under[name]--
			g.mu.Unlock()
		}()
		runtime.Gosched() // another one of the group would be here now
		g.mu.Lock()
		g.seen[r.body]++
		fails, id := g.seen[r.body] <= int(fate(r.body, 3)), r.header.Get("Webhook-Id")
		if before, ok := g.ids[r.body]; ok && before != id {
			g.changed++
		}
		g.ids[r.body] = id
		first := true
		for _, body := range g.took[name] {
			first = first && body != r.body
		}
		breaks := fails && fate(r.body, 2) == 0 // the connection does, when the work is done
		if first && !g.refused(r.body) && (!fails || breaks) {
			g.took[name] = append(g.took[name], r.body)
		}
		g.mu.Unlock()
		switch {
		case g.refused(r.body):
			rw.WriteHeader(http.StatusRequestEntityTooLarge)
		case breaks:
			panic(http.ErrAbortHandler)
		case fails:
			rw.WriteHeader(http.StatusInternalServerError)
		}
	})
	return g
}

// book returns what was taken first by each group.
func (g *groups) book() map[string][]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string][]string{}
	for name, list := range g.took {
		out[name] = append([]string(nil), list...)
	}
	return out
}

// again is how many requests came for messages beyond the first.
func (g *groups) again() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, times := range g.seen {
		n += times - 1
	}
	return n
}

// Three servers publish and send messages of groups, endpoints fail in several ways, and each server dies and another one takes its
// place: every group arrives in its order, without those that the endpoint never takes, and no group has two requests at once.
func TestA19_GroupsKeepTheirOrderUnderFailures(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const each = 6
		servers := []*world{w, w.another(t), w.another(t)}
		tp := w.topic(t, ".fifo", topics.Settings{})
		rc := newGroups(t)
		rc.refused = func(body string) bool { return fate(body, 7) == 0 }
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, MaxInFlight: 64, Retries: []time.Duration{time.Second, time.Second, time.Second}})
		want, total, skipped := map[string][]string{}, 0, 0
		for round := range len(servers) {
			for i := range each {
				for _, name := range []string{"a", "b", "c", "d"} {
					body := fmt.Sprintf("%s-%d", name, round*each+i)
					servers[total%len(servers)].publishTo(t, tp, name, body)
					if total++; rc.refused(body) {
						skipped++
					} else {
						want[name] = append(want[name], body)
					}
				}
			}
			servers[round].SetStep(func(string) error { return errKilled })
			servers[round].kill()
			servers[round] = w.another(t)
		}
		last := servers[0]
		last.slowly(t, "all is delivered or failed", func() bool { s := last.status(t, way); return s.Delivered+s.Dead == int64(total) && s.Pending == 0 })
		if diff := cmp.Diff(want, rc.book()); diff != "" {
			t.Errorf("what was taken (-want +got):\n%s", diff)
		}
		if s := last.status(t, way); int(s.Dead) != skipped || rc.overlaps != 0 || rc.changed != 0 {
			t.Errorf("%d failed, want %d; %d overlaps, %d ids changed", s.Dead, skipped, rc.overlaps, rc.changed)
		}
		t.Logf("%d messages of 4 groups, %d more requests, %d skipped, 3 servers killed: order breaks 0, overlaps %d", total, rc.again(), skipped, rc.overlaps)
	})
}
