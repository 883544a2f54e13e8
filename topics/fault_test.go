package topics_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// fanTraffic is two servers that publish to a standard and to a FIFO topic, and carry that to queues, through another topic, and to
// dead-letter queues what a queue never takes. What is confirmed is in the books, and in the end each queue must have its part once.
type fanTraffic struct {
	tb      testing.TB
	servers [2]*world
	fence   sync.Mutex // of step
	step    string     // at which to stop
	hit     chan int   // the server that has come to it
	resume  chan bool  // whether it lives on

	standard, onward, fifo                             string
	all, even, some, dead, far, line, few, buried, new string // queues
	published                                          []string
	entered                                            []string // published to topics that had nothing to do
	groups                                             map[string][]string
	faults                                             int
}

// isLong reports whether a body is one that small queues never take.
func isLong(body string) bool { return len(body) > 1024 }

func (tr *fanTraffic) open(tb testing.TB, opt engine.Options) {
	tb.Helper()
	tr.tb, tr.hit, tr.resume, tr.groups = tb, make(chan int), make(chan bool), map[string][]string{}
	w := newWorld(tb, opt)
	tr.servers = [2]*world{w, w.another(tb)}
	tr.standard, tr.onward, tr.fifo = w.topic(tb, topics.Settings{}), w.topic(tb, topics.Settings{}), w.fifo(tb, topics.Settings{})
	tr.all, tr.even, tr.some, tr.dead, tr.far = w.queue(tb, "", nil), w.queue(tb, "", nil), w.queue(tb, "", small(1024)), w.queue(tb, "", nil), w.queue(tb, "", nil)
	tr.line, tr.few, tr.buried = w.queue(tb, ".fifo", nil), w.queue(tb, ".fifo", small(1024)), w.queue(tb, ".fifo", nil)
	tr.new = w.queue(tb, "", nil)
	w.subscribe(tb, tr.standard, "all", topics.SubscriptionSettings{Queue: tr.all})
	w.subscribe(tb, tr.standard, "even", topics.SubscriptionSettings{Queue: tr.even, FilterPolicy: `{"even":["true"]}`})
	w.subscribe(tb, tr.standard, "some", topics.SubscriptionSettings{Queue: tr.some, DeadLetterQueue: tr.dead})
	w.subscribe(tb, tr.standard, "onward", topics.SubscriptionSettings{Topic: tr.onward})
	w.subscribe(tb, tr.onward, "far", topics.SubscriptionSettings{Queue: tr.far})
	w.subscribe(tb, tr.fifo, "line", topics.SubscriptionSettings{Queue: tr.line})
	w.subscribe(tb, tr.fifo, "few", topics.SubscriptionSettings{Queue: tr.few, DeadLetterQueue: tr.buried})
	for i := range tr.servers {
		tr.servers[i].listen(tb)
		tr.watch(i)
	}
}

// watch stops a server at the step at which the next fault is to happen.
func (tr *fanTraffic) watch(i int) {
	var dead atomic.Bool
	tr.servers[i].SetStep(func(done string) error {
		tr.fence.Lock()
		here := tr.step == done && !dead.Load()
		if here {
			tr.step = "" // once
		}
		tr.fence.Unlock()
		if here {
			tr.hit <- i
			dead.Store(!<-tr.resume)
		}
		if dead.Load() {
			return errCrash
		}
		return nil
	})
}

// publish publishes a message and repeats that until it is confirmed, by the servers in turn.
func (tr *fanTraffic) publish(servers [2]*world, topic string, m queues.Outgoing) {
	for try := 0; tr.tb.Context().Err() == nil; try++ {
		w := servers[try%2]
		if _, err := w.Publish(tr.tb.Context(), w.tenant, topic, m); err == nil {
			return
		}
	}
}

// through publishes, lets something break when a server has come to a step, and waits until all is carried.
func (tr *fanTraffic) through(step string, server bool, meanwhile, afterward func()) {
	t := tr.tb
	t.Helper()
	const each = 16
	tr.faults++
	var plain, grouped []queues.Outgoing
	for i := range each {
		tail := ""
		if i%4 == 1 {
			tail = strings.Repeat("x", 1025)
		}
		n := len(tr.published)
		body := fmt.Sprint("m", n, tail)
		plain = append(plain, queues.Outgoing{Body: []byte(body), IdempotencyKey: body[:min(len(body), 20)],
			Attributes: []queues.Attribute{{Name: "even", Type: "String", Value: fmt.Sprint(n%2 == 0)}}})
		tr.published = append(tr.published, body)
		group := fmt.Sprint("g", i%3)
		body = fmt.Sprint(group, "-", len(tr.groups[group]), tail)
		grouped = append(grouped, queues.Outgoing{Body: []byte(body), GroupID: group, DeduplicationID: body[:min(len(body), 20)]})
		tr.groups[group] = append(tr.groups[group], body)
	}
	servers := tr.servers
	work := map[string][]queues.Outgoing{tr.standard: plain, tr.fifo: grouped}
	carried := map[string][]string{tr.standard: {"all", "even", "some", "onward"}, tr.onward: {"far"}, tr.fifo: {"line", "few"}}
	if step == "entered" { // the index
		topic, body := servers[0].topic(t, topics.Settings{}), fmt.Sprint("e", len(tr.entered))
		servers[0].subscribe(t, topic, "new", topics.SubscriptionSettings{Queue: tr.new})
		work[topic], carried[topic] = []queues.Outgoing{{Body: []byte(body), IdempotencyKey: body}}, []string{"new"}
		tr.entered = append(tr.entered, body)
	}
	tr.fence.Lock()
	tr.step = step
	tr.fence.Unlock()
	var publishers sync.WaitGroup
	for topic, list := range work {
		publishers.Go(func() {
			for _, m := range list {
				tr.publish(servers, topic, m)
			}
		})
	}
	at := -1
	tr.goesOn("a server comes to "+step, func() bool {
		select {
		case at = <-tr.hit:
			return true
		default:
			return false
		}
	})
	meanwhile()
	if server {
		tr.servers[at] = servers[1-at].another(t)
		tr.servers[at].listen(t)
		tr.watch(at)
		servers[at].Stop()
	}
	tr.resume <- !server
	afterward()
	publishers.Wait()
	tr.goesOn("all is carried after "+step, func() bool {
		for topic, names := range carried {
			for _, name := range names {
				if s, err := tr.servers[0].GetSubscription(t.Context(), tr.servers[0].tenant, topic, name); err != nil || s.Lag > 0 {
					return false
				}
			}
		}
		return true
	})
}

// goesOn lets the servers work and the clock go on until a condition holds, for at most a minute.
func (tr *fanTraffic) goesOn(what string, ok func() bool) {
	tr.tb.Helper()
	last := time.Now()
	for deadline := last.Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(last) > 50*time.Millisecond {
			last = time.Now()
			tr.servers[0].clock.Advance(time.Second)
			for _, w := range tr.servers {
				_ = w.Tend(tr.tb.Context()) // it may be without Redis now
			}
		}
		if time.Now().After(deadline) {
			tr.tb.Fatalf("not in a minute: %s", what)
		}
	}
}

// check compares the books with what each queue has.
func (tr *fanTraffic) check(what string) {
	t, w := tr.tb, tr.servers[0]
	t.Helper()
	lost, doubled, broken, deliveries := 0, 0, 0, 0
	short := func(body string) bool { return !isLong(body) }
	pick := func(list []string, ok func(string) bool) (out []string) {
		for _, body := range list {
			if ok(body) {
				out = append(out, body)
			}
		}
		return out
	}
	brief := func(list []string) []string {
		out := make([]string, len(list))
		for i, body := range list {
			out[i] = body[:min(len(body), 20)]
		}
		return out
	}
	once := func(queue string, want []string) {
		t.Helper()
		want, got := brief(slices.Sorted(slices.Values(want))), brief(slices.Sorted(slices.Values(bodies(w.drain(t, queue)))))
		deliveries += len(got)
		distinct := slices.Compact(slices.Clone(got))
		lost, doubled = lost+len(want)-len(distinct), doubled+len(got)-len(distinct)
		if diff := cmp.Diff(want, got, emptyIsNil); diff != "" {
			t.Errorf("%s (-want +got):\n%s", queue, diff)
		}
	}
	even := map[string]bool{}
	for i, body := range tr.published {
		even[body] = i%2 == 0
	}
	once(tr.all, tr.published)
	once(tr.far, tr.published)
	once(tr.new, tr.entered)
	once(tr.even, pick(tr.published, func(body string) bool { return even[body] }))
	once(tr.some, pick(tr.published, short))
	once(tr.dead, pick(tr.published, isLong))
	grouped := 0
	for queue, ok := range map[string]func(string) bool{tr.line: func(string) bool { return true }, tr.few: short, tr.buried: isLong} {
		want, got := map[string][]string{}, map[string][]string{}
		for group, list := range tr.groups {
			want[group] = brief(pick(list, ok))
		}
		for _, m := range w.drain(t, queue) {
			got[m.GroupID] = append(got[m.GroupID], m.Body[:min(len(m.Body), 20)])
			deliveries++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			broken++
			t.Errorf("%s (-want +got):\n%s", queue, diff)
		}
	}
	for _, list := range tr.groups {
		grouped += len(list)
	}
	t.Logf("%s: %d faults, %d publishes, %d deliveries, lost %d, doubled %d, order breaks %d", what, tr.faults, len(tr.published)+len(tr.entered)+grouped, deliveries, lost, doubled, broken)
}

// rounds is how often each step has its faults.
func rounds() int {
	if os.Getenv("SLUICE_TEST_REDIS_FULL") != "" {
		return 6
	}
	return 1
}

// carryingSteps are the moments between which a publish is carried.
var carryingSteps = []string{"entered", "carrying", "dead lettered", "delivered", "advanced"}

// The Redis that has it all is killed at each step of carrying, and so is the server.
func TestG12_RedisAndServersDieAtEachStepOfCarrying(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	var tr fanTraffic
	tr.open(t, engine.Options{URL: redis.URL()})
	nothing := func() {}
	for range rounds() {
		for _, step := range carryingSteps {
			tr.through(step, false, redis.Kill9, redis.Restart)
			tr.through(step, true, nothing, nothing)
		}
	}
	tr.check("standalone")
}

// The same on three masters: that of the topic is killed, of a queue, of a dead-letter queue, and so on, and their slots move.
func TestG12_MastersDieAndSlotsMoveAtEachStepOfCarrying(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr())
	}
	var tr fanTraffic
	tr.open(t, engine.Options{URL: "redis+cluster://" + strings.Join(addrs, ",")})
	places := tr.places()
	for i := range rounds() {
		for k, step := range carryingSteps {
			var down *redistest.Server
			key := places[(i+k)%len(places)]
			tr.through(step, false, func() { down = c.MasterOf(key); down.Kill9() }, func() { down.Restart(); c.WaitOK() })
			key = places[(i+k+1)%len(places)]
			var m *redistest.Migration
			tr.through(step, k%2 == 0, func() {
				home := c.MasterOf(key)
				m = c.BeginMigrate(key, home, c.Nodes[(slices.Index(c.Nodes, home)+1)%3])
				m.MigrateKeys(2)
			}, func() {
				for m.MigrateKeys(1) > 0 {
				}
				m.FinishMigrate()
			})
		}
	}
	tr.check("cluster of three masters")
}

// places are keys in the slots that matter: of the topics and of their queues.
func (tr *fanTraffic) places() []string {
	tr.tb.Helper()
	w := tr.servers[0]
	var list []string
	for _, topic := range []string{tr.standard, tr.fifo, tr.onward} {
		keys, _, err := w.Keys(tr.tb.Context(), w.tenant, topic)
		must(tr.tb, err)
		list = append(list, keys[0])
	}
	for _, queue := range []string{tr.all, tr.dead, tr.line, tr.buried} {
		registered, err := w.engine.Cluster().HGet(tr.tb.Context(), engine.TenantKey(w.tenant.String(), "queues"), queue).Result()
		must(tr.tb, err)
		list = append(list, queues.HeadKey(w.tenant, registered[1:]))
	}
	return list
}
