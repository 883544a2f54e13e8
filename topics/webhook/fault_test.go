package webhook_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func clusterURL(c *redistest.ClusterSet) string {
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr())
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// breaks is what breaks, and how, when a server has come to a step of a delivery. meanwhile is called while the server stands at the
// step, afterwards when it has gone on.
type breaks struct {
	name, step           string
	server               bool // the server that is at the step dies there
	meanwhile, afterward func(tr *hookTraffic)
}

// hookTraffic is two servers that publish to topics with webhooks and queues of all kinds. What is confirmed is in the books, and at
// the end each subscription must have it: once, or as often as requests were under way when something broke.
type hookTraffic struct {
	tb      testing.TB
	servers [2]*world
	fence   sync.Mutex // of servers
	step    string     // at which to stop; guarded by fence
	hit     chan int   // the server that has come to it
	resume  chan bool  // whether it lives on

	standard, fifo, trapped             string
	fine, moody, gone, ordered, trap    topics.Way
	queue, dead, caught, line, deadLine string
	fineBox, moodyBox                   *receiver
	orderedBox                          *groups
	touched                             atomic.Int64
	published, publishedTrap            []string
	publishedGroups                     map[string][]string
	rounds                              int
}

func (tr *hookTraffic) open(tb testing.TB, opt engine.Options) {
	tb.Helper()
	tr.tb, tr.hit, tr.resume, tr.publishedGroups = tb, make(chan int), make(chan bool), map[string][]string{}
	narrow := egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, AllowHTTP: true}
	w := newWorldWith(tb, opt, narrow)
	tr.servers = [2]*world{w, w.another(tb)}
	tr.standard, tr.fifo, tr.trapped = w.topic(tb, "", topics.Settings{}), w.topic(tb, ".fifo", topics.Settings{}), w.topic(tb, "", topics.Settings{})
	tr.queue, tr.dead, tr.caught = w.queue(tb, ""), w.queue(tb, ""), w.queue(tb, "")
	tr.line, tr.deadLine = w.queue(tb, ".fifo"), w.queue(tb, ".fifo")
	for topic, queue := range map[string]string{tr.standard: tr.queue, tr.fifo: tr.line} {
		_, _, err := w.topics.PutSubscription(tb.Context(), w.tenant, topic, "queue", topics.SubscriptionSettings{Queue: queue}, topics.Condition{})
		must(tb, err)
	}
	retries := slices.Repeat([]time.Duration{time.Second}, 10)
	tr.fineBox = newReceiver(tb, nil)
	tr.fine = w.hook(tb, tr.standard, "fine", webhook.Endpoint{URL: tr.fineBox.URL, Timeout: webhook.MinTimeout})
	var failures sync.Map
	tr.moodyBox = newReceiver(tb, func(r received, rw http.ResponseWriter) {
		n, _ := failures.LoadOrStore(r.body, new(atomic.Int64))
		if n.(*atomic.Int64).Add(1) > int64(fate(r.body, 3)) {
			return
		}
		if fate(r.body, 2) == 0 {
			panic(http.ErrAbortHandler)
		}
		rw.WriteHeader(http.StatusBadGateway)
	})
	tr.moody = w.hook(tb, tr.standard, "moody", webhook.Endpoint{URL: tr.moodyBox.URL, Timeout: webhook.MinTimeout, Retries: retries})
	never := newReceiver(tb, answering(http.StatusRequestEntityTooLarge))
	tr.gone = w.safeHook(tb, tr.standard, "gone", tr.dead, topics.Raw, webhook.Endpoint{URL: never.URL, Timeout: webhook.MinTimeout})
	tr.orderedBox = newGroups(tb)
	tr.orderedBox.refused = func(body string) bool { return fate(body, 5) == 0 }
	tr.ordered = w.safeHook(tb, tr.fifo, "ordered", tr.deadLine, topics.Raw, webhook.Endpoint{URL: tr.orderedBox.URL, Timeout: webhook.MinTimeout, Retries: retries})

	// A URL that was allowed when it was given, and is not any more.
	l, err := net.Listen("tcp", "127.0.0.2:0")
	must(tb, err)
	box := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	box.Listener = l
	box.Config.ConnState = func(net.Conn, http.ConnState) { tr.touched.Add(1) }
	box.Start()
	tb.Cleanup(box.Close)
	allowed := &world{clock: w.clock, tenant: w.tenant, opt: w.opt, keys: w.keys, policy: policy}
	allowed.open(tb)
	tr.trap = allowed.safeHook(tb, tr.trapped, "trap", tr.caught, topics.Raw, webhook.Endpoint{URL: box.URL, Retries: []time.Duration{}})
	allowed.kill()
	w.slowly(tb, "two servers send", func() bool { return tr.servers[0].Outcomes().Shards+tr.servers[1].Outcomes().Shards == 64 })
	for i := range tr.servers {
		tr.watch(i)
	}
}

// watch stops a server at the step at which the next fault is to happen.
func (tr *hookTraffic) watch(i int) {
	var dead atomic.Bool
	tr.servers[i].SetStep(func(done string) error {
		if dead.Load() {
			return errKilled
		}
		tr.fence.Lock()
		here := tr.step == done
		if here {
			tr.step = "" // once
		}
		tr.fence.Unlock()
		if here {
			tr.hit <- i
			dead.Store(!<-tr.resume)
		}
		if dead.Load() {
			return errKilled
		}
		return nil
	})
}

// publish publishes messages one by one, by the servers in turn, and repeats that until each is confirmed.
func (tr *hookTraffic) publish(servers [2]*world, topic string, list []queues.Outgoing) {
	for i := range list {
		for try := i; tr.tb.Context().Err() == nil; try++ {
			w := servers[try%2]
			if _, err := w.topics.Publish(tr.tb.Context(), w.tenant, topic, list[i]); err == nil {
				break
			}
		}
	}
}

// through publishes, lets something break on the way, and waits until all is delivered.
func (tr *hookTraffic) through(b breaks) {
	t := tr.tb
	t.Helper()
	const each = 12
	tr.fence.Lock()
	tr.step = b.step
	tr.fence.Unlock()
	var plain, grouped, single []queues.Outgoing
	for i := range each {
		body := fmt.Sprint("m", tr.rounds*each+i)
		plain = append(plain, queues.Outgoing{Body: []byte(body), ContentType: "text/plain", IdempotencyKey: body})
		tr.published = append(tr.published, body)
		group := string(rune('a' + i%4))
		body = fmt.Sprintf("%s-%d", group, len(tr.publishedGroups[group]))
		grouped = append(grouped, queues.Outgoing{Body: []byte(body), ContentType: "text/plain", GroupID: group, DeduplicationID: body})
		tr.publishedGroups[group] = append(tr.publishedGroups[group], body)
	}
	if tr.rounds < 4 { // of more its breaker would open
		body := fmt.Sprint("secret", tr.rounds)
		single = append(single, queues.Outgoing{Body: []byte(body), ContentType: "text/plain", IdempotencyKey: body})
		tr.publishedTrap = append(tr.publishedTrap, body)
	}
	tr.rounds++
	servers := tr.servers
	var publishers sync.WaitGroup
	publishers.Go(func() { tr.publish(servers, tr.standard, plain) })
	publishers.Go(func() { tr.publish(servers, tr.fifo, grouped) })
	publishers.Go(func() {
		if len(single) > 0 {
			tr.publish(servers, tr.trapped, single)
		}
	})
	at := -1
	servers[0].slowly(t, b.name+": a server comes to it", func() bool {
		select {
		case at = <-tr.hit:
			return true
		default:
			return false
		}
	})
	if b.meanwhile != nil {
		b.meanwhile(tr)
	}
	tr.resume <- !b.server
	if b.server {
		second := servers[1-at].another(t)
		servers[at].kill()
		publishers.Wait() // by the servers that there were
		tr.servers[at] = second
		tr.watch(at)
	}
	if b.afterward != nil {
		b.afterward(tr)
	}
	publishers.Wait()
	w := tr.servers[0]
	w.slowly(t, b.name+": all is delivered", func() bool {
		for _, way := range []topics.Way{tr.fine, tr.moody, tr.gone, tr.ordered, tr.trap} {
			s, err := w.Status(t.Context(), way)
			if err != nil || s.Pending > 0 || s.Dead > 0 {
				return false
			}
			sub, err := w.topics.GetSubscription(t.Context(), w.tenant, way.Topic, way.Subscription)
			if err != nil || sub.Lag > 0 {
				return false
			}
		}
		for _, topic := range []string{tr.standard, tr.fifo} {
			if sub, err := w.topics.GetSubscription(t.Context(), w.tenant, topic, "queue"); err != nil || sub.Lag > 0 {
				return false
			}
		}
		return true
	})
}

// check compares the books with what came where.
func (tr *hookTraffic) check(what string) {
	t, w := tr.tb, tr.servers[0]
	t.Helper()
	lost, doubled := 0, 0
	once := func(name string, want, got []string) {
		t.Helper()
		want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
		distinct := slices.Compact(slices.Clone(got))
		lost += len(want) - len(distinct)
		doubled += len(got) - len(distinct)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	once("the queue", tr.published, bodiesOf(w.letters(t, tr.queue, len(tr.published))))
	once("the dead letters", tr.published, bodiesOf(w.letters(t, tr.dead, len(tr.published))))
	once("what was not allowed", tr.publishedTrap, bodiesOf(w.letters(t, tr.caught, len(tr.publishedTrap))))
	repeats := 0
	for name, box := range map[string]*receiver{"fine": tr.fineBox, "moody": tr.moodyBox} {
		ids := map[string]string{}
		for _, r := range box.got() {
			if id, ok := ids[r.body]; ok && id != r.header.Get("Webhook-Id") {
				t.Errorf("%s: %s came as %s and as %s", name, r.body, id, r.header.Get("Webhook-Id"))
			}
			ids[r.body] = r.header.Get("Webhook-Id")
		}
		for _, body := range tr.published {
			if ids[body] == "" {
				lost++
				t.Errorf("%s: %s is lost", name, body)
			}
		}
		if name == "fine" {
			repeats = box.count() - len(ids)
		}
	}
	if most := tr.rounds * webhook.DefaultMaxInFlight; repeats > most {
		t.Errorf("%d repeats at the endpoint that never fails, want at most %d", repeats, most)
	}
	want, buried := map[string][]string{}, map[string][]string{}
	groups := 0
	for group, list := range tr.publishedGroups {
		for _, body := range list {
			groups++
			if tr.orderedBox.refused(body) {
				buried[group] = append(buried[group], body)
			} else {
				want[group] = append(want[group], body)
			}
		}
	}
	broken := 0
	inOrder := func(name string, want, got map[string][]string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			broken++
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	byGroup := func(list []queues.Message) map[string][]string {
		out := map[string][]string{}
		for _, m := range list {
			out[m.GroupID] = append(out[m.GroupID], m.Body)
		}
		return out
	}
	inOrder("the groups of the webhook", want, tr.orderedBox.book())
	inOrder("the groups of the queue", tr.publishedGroups, byGroup(w.letters(t, tr.line, groups)))
	skipped := 0
	for _, list := range buried {
		skipped += len(list)
	}
	inOrder("the groups of the dead letters", buried, byGroup(w.letters(t, tr.deadLine, skipped)))
	if tr.orderedBox.overlaps > 0 || tr.orderedBox.changed > 0 || tr.touched.Load() > 0 {
		t.Errorf("%d overlaps, %d ids changed, the trap was touched %d times", tr.orderedBox.overlaps, tr.orderedBox.changed, tr.touched.Load())
	}
	t.Logf("%s: %d faults, %d publishes, %d deliveries to webhooks and queues, lost %d, doubled in queues %d, repeats at the endpoint that never fails %d, "+
		"order breaks %d, overlaps %d, trap touched %d", what, tr.rounds, len(tr.published)+groups+len(tr.publishedTrap),
		4*len(tr.published)+2*groups+len(tr.publishedTrap), lost, doubled, repeats, broken, tr.orderedBox.overlaps, tr.touched.Load())
}

// steps are the moments of a delivery and of what follows a failure.
var steps = []string{"leased", "requested", "settling", "posting", "posted"}

// The Redis that has it all is killed at each step of deliveries, and so are the servers.
func TestG14_RedisAndServersDieAtEachStep(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	var tr hookTraffic
	tr.open(t, engine.Options{URL: redis.URL()})
	for i := range scaled(1, 5) {
		for _, step := range steps {
			tr.through(breaks{name: "Redis dies when " + step, step: step, meanwhile: func(*hookTraffic) { redis.Kill9() }, afterward: func(*hookTraffic) { redis.Restart() }})
			if i > 0 || step == "settling" { // TestG14_AServerThatDiesLosesNothing has the others
				tr.through(breaks{name: "a server dies when " + step, step: step, server: true})
			}
		}
	}
	tr.check("standalone")
}

// The same on three masters, of which the one is killed that has the webhook or the dead-letter queue, and while their slots move, and
// that of the topic.
func TestG14_MastersAndServersDieAtEachStepAndSlotsMove(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	var tr hookTraffic
	tr.open(t, engine.Options{URL: clusterURL(c)})
	places := tr.places()
	for i := range scaled(1, 5) {
		for k, step := range steps {
			var down *redistest.Server
			key := places[(i+k)%len(places)]
			tr.through(breaks{name: fmt.Sprintf("the master of %s dies when %s", key, step), step: step,
				meanwhile: func(*hookTraffic) { down = c.MasterOf(key); down.Kill9() },
				afterward: func(*hookTraffic) { down.Restart(); c.WaitOK() }})
			var m *redistest.Migration
			key = places[(i+k+1)%len(places)]
			tr.through(breaks{name: fmt.Sprintf("the slot of %s moves when %s", key, step), step: step,
				meanwhile: func(*hookTraffic) {
					home := c.MasterOf(key)
					m = c.BeginMigrate(key, home, c.Nodes[(slices.Index(c.Nodes, home)+1)%3])
					m.MigrateKeys(2)
				},
				afterward: func(*hookTraffic) {
					for m.MigrateKeys(1) > 0 {
					}
					m.FinishMigrate()
				}})
			if i > 0 || step == "posting" {
				tr.through(breaks{name: "a server dies when " + step, step: step, server: true})
			}
		}
	}
	tr.check("cluster of three masters")
}

// places are keys in the slots that matter: of the webhooks, of the topics, and of the dead-letter queues.
func (tr *hookTraffic) places() []string {
	tr.tb.Helper()
	list := []string{webhook.Keys(tr.moody)[0], engine.Key(tr.gone.Tenant.String(), tr.gone.TopicUID, "tl"), webhook.Keys(tr.ordered)[0], webhook.Keys(tr.gone)[0],
		engine.Key(tr.ordered.Tenant.String(), tr.ordered.TopicUID, "tl")}
	w := tr.servers[0]
	for _, queue := range []string{tr.dead, tr.deadLine} {
		registered, err := w.engine.Cluster().HGet(tr.tb.Context(), engine.TenantKey(w.tenant.String(), "queues"), queue).Result()
		must(tr.tb, err)
		list = append(list, queues.HeadKey(w.tenant, registered[1:]))
	}
	return list
}
