package queues_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
)

// groupTraffic is a producer for each group of a FIFO queue, who repeats a send with one deduplication id until it is
// confirmed, and consumers, some of whom die with messages in their hands. With a dead-letter queue they fail and give up
// messages as well, and others consume that queue. So every message must be stored once and in the order of its group,
// and end in exactly one of the two queues.
type groupTraffic struct {
	servers     []*bench
	queue, dead string // dead: "" for none
	stop        atomic.Bool
	over        atomic.Bool // of the consumers
	producers   sync.WaitGroup
	consumers   sync.WaitGroup

	mu    sync.Mutex
	sent  map[string]int // confirmed sends by group
	lanes map[string]*groupLane
	codes map[string]int
}

// groupLane is what was seen of one queue.
type groupLane struct {
	ids         map[string]engine.ID // by body
	next        map[string]int       // by group: the number behind the largest one that was seen
	tried       map[string]bool      // bodies that somebody tried to acknowledge
	acked       map[string]time.Time // acknowledged acks, and when
	late        map[string]bool      // of which the lease may have been over: an ack of a message that has left is one too
	breaks      int                  // messages seen for the first time after a later one of their group
	doubled     int                  // of which there are two
	resurrected int                  // came again after their ack
	again       int
}

const trafficGroups = 8

func newGroupTraffic(servers []*bench, queue, dead string) *groupTraffic {
	tr := &groupTraffic{servers: servers, queue: queue, dead: dead, sent: map[string]int{}, lanes: map[string]*groupLane{}, codes: map[string]int{}}
	for _, q := range []string{queue, dead} {
		tr.lanes[q] = &groupLane{ids: map[string]engine.ID{}, next: map[string]int{}, tried: map[string]bool{}, acked: map[string]time.Time{}, late: map[string]bool{}}
	}
	return tr
}

// run starts the producers and consumers.
func (tr *groupTraffic) run() {
	for g := range trafficGroups {
		tr.producers.Go(func() { tr.produce(g) })
	}
	for c := range 6 {
		tr.consumers.Go(func() { tr.consume(c, tr.queue) })
	}
	if tr.dead != "" {
		for c := range 2 {
			tr.consumers.Go(func() { tr.consume(c, tr.dead) })
		}
	}
}

func (tr *groupTraffic) note(op string, err error) {
	code := err.Error()
	if e, ok := errors.AsType[*errs.Error](err); ok {
		code = e.Code
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.codes[op+" "+code]++
}

func (tr *groupTraffic) produce(g int) {
	group := fmt.Sprint("g", g)
	for i := 0; !tr.stop.Load(); {
		body := fmt.Sprintf("%d-%d", g, i)
		s := tr.servers[(g+i)%len(tr.servers)]
		_, err := s.Send(context.Background(), s.tenant, tr.queue, queues.Outgoing{Body: []byte(body), GroupID: group, DeduplicationID: body})
		if err != nil {
			tr.note("send", err)
		} else {
			i++
			tr.mu.Lock()
			tr.sent[group] = i
			tr.mu.Unlock()
		}
		time.Sleep(4 * time.Millisecond) // bounds the load
	}
}

// see enters a message that a receive brought which was begun at begun.
func (tr *groupTraffic) see(lane *groupLane, m queues.Message, begun time.Time) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var g, i int
	if _, err := fmt.Sscanf(m.Body, "%d-%d", &g, &i); err != nil {
		lane.breaks++
		return
	}
	id, seen := lane.ids[m.Body]
	switch {
	case !seen && i < lane.next[m.GroupID]:
		lane.breaks++
	case seen && id != m.ID:
		lane.doubled++
	case seen:
		lane.again++
	}
	if at, ok := lane.acked[m.Body]; ok && at.Before(begun) {
		lane.resurrected++
	}
	lane.ids[m.Body] = m.ID
	lane.next[m.GroupID] = max(lane.next[m.GroupID], i+1)
}

// verb is what a consumer does with a message. It depends on the message, so that a group has all kinds.
func (tr *groupTraffic) verb(queue string, m queues.Message) (queues.Verb, bool) {
	var g, i int
	if _, err := fmt.Sscanf(m.Body, "%d-%d", &g, &i); err != nil || tr.stop.Load() {
		return queues.Ack, true
	}
	k := (i*7 + g) % 20
	switch {
	case k < 2 && m.ReceiveCount == 1:
		return 0, false // dies: this message and those behind it come back
	case queue == tr.dead || tr.dead == "":
		return queues.Ack, true
	case k < 8:
		return queues.Return, true // each time, until it has been received too often
	case k < 11:
		return queues.DeadLetter, true
	}
	return queues.Ack, true
}

func (tr *groupTraffic) consume(c int, queue string) {
	lane, wait := tr.lanes[queue], 100*time.Millisecond
	for n := 0; !tr.over.Load(); n++ {
		s := tr.servers[(c+n)%len(tr.servers)]
		begun := time.Now()
		list, err := s.Receive(context.Background(), s.tenant, queue, queues.ReceiveOptions{Max: 1 + n%4, Wait: &wait})
		if err != nil {
			tr.note("receive", err)
		}
		for _, m := range list {
			tr.see(lane, m, begun)
		}
		for k, m := range list {
			verb, alive := tr.verb(queue, m)
			if !alive {
				break
			}
			tr.mu.Lock()
			if verb == queues.Ack {
				lane.tried[m.Body] = true
			}
			tr.mu.Unlock()
			said := []queues.Settlement{{Verb: verb, ReceiptHandle: m.ReceiptHandle}}
			if verb == queues.Return { // what is behind it must not be done before it
				for _, behind := range list[k+1:] {
					said = append(said, queues.Settlement{Verb: verb, ReceiptHandle: behind.ReceiptHandle})
				}
			}
			out, err := s.Settle(context.Background(), s.tenant, queue, said)
			for _, o := range out {
				err = errors.Join(err, o.Err)
			}
			if err != nil {
				tr.note(fmt.Sprintf("settle %c", verb), err)
				break // those behind it wait for it
			}
			if verb == queues.Return {
				break
			}
			if verb == queues.Ack {
				tr.mu.Lock()
				lane.acked[m.Body] = time.Now()
				lane.late[m.Body] = time.Since(begun) >= brief
				tr.mu.Unlock()
			}
		}
	}
}

// flows waits until every group has taken n more messages and n more have come out of each queue.
func (tr *groupTraffic) flows(tb testing.TB, n int) {
	tb.Helper()
	count := func() (out map[string]int) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		out = maps.Clone(tr.sent)
		for q, lane := range tr.lanes {
			out[q] = len(lane.acked)
		}
		return out
	}
	before := count()
	patiently(tb, "the traffic of every group goes on", func() bool {
		now := count()
		for g := range trafficGroups {
			if name := fmt.Sprint("g", g); now[name] < before[name]+n {
				return false
			}
		}
		return now[tr.queue] >= before[tr.queue]+n && (tr.dead == "" || now[tr.dead] >= before[tr.dead]+n)
	})
}

// check ends the traffic, has the consumers drain the queues, and fails the test unless every message was stored once,
// seen in its order and ended in exactly one place.
func (tr *groupTraffic) check(t *testing.T, what string) {
	t.Helper()
	tr.stop.Store(true)
	tr.producers.Wait()
	s := tr.servers[0]
	patiently(t, "the queues are drained", func() bool {
		for _, q := range []string{tr.queue, tr.dead} {
			if q == "" {
				continue
			}
			st, err := s.Stats(t.Context(), s.tenant, q)
			if err != nil || st.Available+st.InFlight+st.Delayed+st.Moving != 0 {
				return false
			}
		}
		return true
	})
	tr.over.Store(true)
	tr.consumers.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	source, dead := tr.lanes[tr.queue], tr.lanes[tr.dead]
	sent, lost, both := 0, 0, 0
	for g := range trafficGroups {
		n := tr.sent[fmt.Sprint("g", g)]
		sent += n
		for i := range n {
			body := fmt.Sprintf("%d-%d", g, i)
			_, acked := source.acked[body]
			_, died := dead.ids[body]
			switch {
			case acked && died && !source.late[body]:
				both++
			case !source.tried[body] && !died:
				lost++
			}
		}
	}
	order, doubled, resurrected := source.breaks+dead.breaks, source.doubled+dead.doubled+both, source.resurrected+dead.resurrected
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(tr.codes)) {
		codes = append(codes, fmt.Sprintf("%s %d", code, tr.codes[code]))
	}
	t.Logf("%s: %d groups, %d messages, %d dead letters, %d redelivered, order breaks %d, lost %d, doubled %d, back after their ack %d; %s",
		what, trafficGroups, sent, len(dead.ids), source.again+dead.again, order, lost, doubled, resurrected, strings.Join(codes, ", "))
	if order > 0 || lost > 0 || doubled > 0 || resurrected > 0 {
		t.Errorf("order breaks %d, lost %d, doubled %d, back after their ack %d", order, lost, doubled, resurrected)
	}
	for _, q := range []string{tr.queue, tr.dead} {
		if q != "" {
			s.healthy(t, q)
		}
	}
}

// brief is how long consumers of groupTraffic hold a message.
const brief = time.Second

// briefly gives messages back whose consumer died.
func briefly(s *queues.Settings) {
	s.VisibilityTimeout = brief
	s.FIFO.ContentBased = true
}

// killed stops a master with kill -9 and starts it again from its files.
func killed(c *redistest.ClusterSet, key string) {
	master := c.MasterOf(key)
	master.Kill9()
	time.Sleep(300 * time.Millisecond) // so that it is missed
	master.Restart()
	c.WaitOK()
}

// moved takes a key's slot to another master, a key at a time, and back.
func moved(c *redistest.ClusterSet, key string) {
	home := c.MasterOf(key)
	away := c.Nodes[(slices.Index(c.Nodes, home)+1)%3]
	for _, way := range [][2]*redistest.Server{{home, away}, {away, home}} {
		m := c.BeginMigrate(key, way[0], way[1])
		for m.MigrateKeys(1) > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		m.FinishMigrate()
	}
}

// TestG6_AMasterOfAClusterIsKilledAndSlotsMove keeps groups in order on three masters while that of their queue is killed
// and comes back, and while its slot moves.
func TestG6_AMasterOfAClusterIsKilledAndSlotsMove(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	b := real(t, engine.Options{URL: clusterURL(c)}, nil)
	q := b.fifo(t, briefly)
	tr := newGroupTraffic([]*bench{b, real(t, b.opt, b)}, q, "")
	tr.run()
	tr.flows(t, 20)
	for range 2 {
		killed(c, b.slotKey(q))
		tr.flows(t, 20)
		moved(c, b.slotKey(q))
		tr.flows(t, 20)
	}
	tr.check(t, "G6: 2 kills of the master, 4 moves")
}

// TestG6_AReplicaTakesOver is the same where the master does not come back at once but a replica takes its place.
func TestG6_AReplicaTakesOver(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 1)
	b := real(t, engine.Options{URL: clusterURL(c), Replicas: 1}, nil)
	q := b.fifo(t, briefly)
	tr := newGroupTraffic([]*bench{b, real(t, b.opt, b)}, q, "")
	tr.run()
	tr.flows(t, 20)
	master := c.MasterOf(b.slotKey(q))
	master.Kill9()
	c.MasterOf(b.slotKey(q))
	master.Restart()
	c.WaitOK()
	tr.flows(t, 20)
	tr.check(t, "G6: the master killed, a replica in its place")
}

// TestG10_AMasterOfAClusterIsKilledAndSlotsMove has messages of groups fail on their way through two masters, each of
// which is killed and comes back, and while the slots of both queues move.
func TestG10_AMasterOfAClusterIsKilledAndSlotsMove(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	b := real(t, engine.Options{URL: clusterURL(c)}, nil)
	var q, dead string
	until(t, func() bool { // two queues on two masters
		q, dead = b.redriven(t, 2, briefly)
		b.counts(t, dead)
		return c.MasterOf(b.slotKey(q)) != c.MasterOf(b.slotKey(dead))
	})
	tr := newGroupTraffic([]*bench{b, real(t, b.opt, b)}, q, dead)
	tr.run()
	tr.flows(t, 10)
	for _, queue := range []string{q, dead} {
		killed(c, b.slotKey(queue))
		tr.flows(t, 10)
		moved(c, b.slotKey(queue))
		tr.flows(t, 10)
	}
	tr.check(t, "G10: 2 masters killed, 4 moves")
}

// TestG11_APurgeOfGroupsWhileMastersAreKilled kills the masters of a FIFO queue and of its tenant's tasks in turn while two
// servers work on a purge.
func TestG11_APurgeOfGroupsWhileMastersAreKilled(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	b := real(t, engine.Options{URL: clusterURL(c)}, nil)
	servers := []*bench{b, real(t, b.opt, b)}
	q := b.fifo(t, nil)
	const n = 4000
	for i := range n / 100 {
		batch := make([]string, 100)
		for k := range batch {
			batch[k] = fmt.Sprintf("g%d:%d-%d", k%7, i, k)
		}
		b.post(t, q, batch...)
	}
	tenant := b.tenant.String()
	store := tasks.New(b.engine, clock.Real{})
	plan, err := b.PlanPurge(t.Context(), b.tenant, q, queues.PurgeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	plan.MaxRate = 1000 // so that it takes longer than the kills
	task, err := store.Start(t.Context(), tenant, plan)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, s := range servers {
		r := tasks.NewRunner(tasks.Config{Store: tasks.New(s.engine, clock.Real{}), Kinds: map[string]tasks.Kind{queues.PurgeTask: s.Purging()}})
		running.Go(func() { _ = r.Run(ctx) })
	}
	get := func() (got tasks.Task) {
		patiently(t, "the task can be read", func() bool {
			got, err = store.Get(t.Context(), tenant, task.ID)
			return err == nil
		})
		return got
	}
	patiently(t, "the purge has begun", func() bool { return get().Progress.Done > 0 })
	kills := 0
	for _, key := range []string{b.slotKey(q), engine.TenantKey(tenant, "tasks"), engine.SystemKey("tasks")} {
		killed(c, key)
		kills++
	}
	patiently(t, "the purge has ended", func() bool { return get().Status != tasks.Running })
	if got := get(); got.Status != tasks.Succeeded || got.Progress.Done != n || got.Progress.Looked != n {
		t.Errorf("got %+v, want %d done", got, n)
	}
	st, err := b.Stats(t.Context(), b.tenant, q)
	if err != nil || st.Available+st.InFlight+st.Delayed != 0 || st.Deleted != n {
		t.Errorf("the queue has %+v, %v; want %d deleted", st, err, n)
	}
	b.sound(t, q)
	t.Logf("G11: %d kills of masters, %d messages of 7 groups, drift 0", kills, n)
}

// TestG11_ARedriveWhileMastersAreKilledAndSlotsMove has two servers take dead letters of groups back through two masters.
// Both, and that of the tenant's tasks, are killed and come back, and the slots of all three move. Meanwhile consumers take
// what arrives: each message once, and those of a group in their order.
func TestG11_ARedriveWhileMastersAreKilledAndSlotsMove(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	b := real(t, engine.Options{URL: clusterURL(c)}, nil)
	servers := []*bench{b, real(t, b.opt, b)}
	var q, dead string
	until(t, func() bool { // two queues on two masters
		q, dead = b.redriven(t, 1, fifoSettings)
		b.counts(t, dead)
		return c.MasterOf(b.slotKey(q)) != c.MasterOf(b.slotKey(dead))
	})
	const n, groups = 3000, 7
	want := map[string][]string{}
	for i := range n / 100 {
		batch := make([]string, 100)
		for k := range batch {
			group, body := fmt.Sprint("g", k%groups), fmt.Sprintf("%d-%d", i, k)
			want[group] = append(want[group], body)
			batch[k] = group + ":" + body
		}
		b.kill(t, q, batch...)
	}
	tenant := b.tenant.String()
	store := tasks.New(b.engine, clock.Real{})
	plan, err := b.PlanRedrive(t.Context(), b.tenant, dead, queues.RedriveOptions{MaxRate: 500}) // so that it takes longer than the kills
	if err != nil {
		t.Fatal(err)
	}
	task, err := store.Start(t.Context(), tenant, plan)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, s := range servers {
		r := tasks.NewRunner(tasks.Config{Store: tasks.New(s.engine, clock.Real{}), Kinds: map[string]tasks.Kind{queues.RedriveTask: s.Redriving()}})
		running.Go(func() { _ = r.Run(ctx) })
	}
	// The consumer keeps what it holds until it is acknowledged for certain, and knows a message again that it was given twice.
	got, seen := map[string][]string{}, map[string]bool{}
	take := func() {
		list, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Max: 100})
		if err != nil {
			return
		}
		give := make([]queues.Settlement, len(list))
		for i, m := range list {
			if !seen[m.ID.String()] {
				got[m.GroupID] = append(got[m.GroupID], m.Body)
			}
			seen[m.ID.String()] = true
			give[i] = ackOf(m)
		}
		if len(give) > 0 {
			patiently(t, "what was received is acknowledged", func() bool {
				_, err := b.Settle(t.Context(), b.tenant, q, give)
				return err == nil
			})
		}
	}
	get := func() (now tasks.Task) {
		patiently(t, "the task can be read", func() bool {
			now, err = store.Get(t.Context(), tenant, task.ID)
			return err == nil
		})
		return now
	}
	patiently(t, "the redrive has begun", func() bool { return get().Progress.Done > 0 })
	kills, underway := 0, 0
	for _, key := range []string{b.slotKey(dead), b.slotKey(q), engine.TenantKey(tenant, "tasks")} {
		killed(c, key)
		take()
		moved(c, key)
		take()
		if kills++; get().Status == tasks.Running {
			underway++
		}
	}
	patiently(t, "the redrive has ended", func() bool {
		take()
		return get().Status != tasks.Running
	})
	if now := get(); now.Status != tasks.Succeeded || now.Progress.Done != n || now.Progress.Failed != 0 || underway == 0 {
		t.Errorf("got %+v, want %d done; under way after %d of %d kills", now, n, underway, kills)
	}
	patiently(t, "all have come back", func() bool {
		take()
		st, err := b.Stats(t.Context(), b.tenant, q)
		return err == nil && st.Available+st.InFlight == 0 && len(seen) >= n
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("received by groups (-want +got):\n%s", diff)
	}
	if n := b.counts(t, dead); n != [3]int64{} {
		t.Errorf("the dead-letter queue has %v", n)
	}
	b.sound(t, q)
	b.sound(t, dead)
	t.Logf("G11: %d kills of masters, %d moves of slots, under way after %d; %d messages of %d groups moved, each once, drift 0", kills, 2*kills, underway, n, groups)
}
