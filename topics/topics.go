// Package topics copies what is published to every subscription whose filter policy lets it through.
//
// A publish appends to the topic's log, one script in the topic's slot, and is acknowledged then. Afterwards a server
// carries the log on to each subscription (carry.go), which has a place in it: the sequence number up to which it has
// all. A queue remembers for each subscription how far it was brought, so what is carried twice is stored once, and
// whoever carries may stop anywhere. Which topics have something to carry says an index of the installation (index.go),
// so no topic is looked at for which there is nothing to do.
package topics

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/policy"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Config is what a Store needs.
type Config struct {
	Engine *engine.Engine // with a started session
	Queues *queues.Store
	// Terms says what holds for a tenant: tenants.Store.Terms. Default: every tenant may do everything.
	Terms func(context.Context, tenants.ID) (*tenants.Terms, error)
	// Notifier makes what subscriptions of the format Notified get. Without it there are none.
	Notifier *Notifier
	// ByAccount returns the tenant with an account number: tenants.Store.ByAccount. With it, and a Notifier, which knows how topics
	// are called, messages go to queues of other tenants that let them in.
	ByAccount func(context.Context, string) (tenants.ID, error)
	// Storage keeps what is stored within the tenants' limits. Default: nothing does.
	Storage *tenants.Storage
	// Meter counts what is published and delivered. Default: nothing is counted.
	Meter  *tenants.Meter
	Clock  clock.Clock  // default: the machine's
	Logger *slog.Logger // default: nothing
}

// Store is the topics of all tenants.
type Store struct {
	*queues.Schedules // of the topics

	engine    *engine.Engine
	queues    *queues.Store
	terms     func(context.Context, tenants.ID) (*tenants.Terms, error)
	clock     clock.Clock
	logger    *slog.Logger
	registry  queues.Registry
	notifier  *Notifier
	byAccount func(context.Context, string) (tenants.ID, error)
	storage   *tenants.Storage
	meter     *tenants.Meter
	webhooks  Webhooks      // nil: none
	checking  chan struct{} // holds a place for each message that is checked against a schema now

	topics   sync.Map // address → *topic
	carriers *carriers
	renewing engine.Joined[*policy.Policy]           // reads settings whose policy is asked for
	calls    atomic.Int64                            // numbers the calls of all topics; see runPublishes
	setAside atomic.Int64                            // see SetAside
	damaged  atomic.Int64                            // see Damaged
	steps    atomic.Pointer[func(done string) error] // called between the steps of what goes over several slots; for tests
	life     context.Context                         //nolint:containedctx // of what goes on in the background; ends with Run
	end      context.CancelFunc
	alive    atomic.Pointer[string] // sessions of living servers, for trim.lua
}

// address names a topic among all tenants'.
type address struct {
	tenant tenants.ID
	name   string
}

// New returns the store. Call Run, or nothing is carried that other servers have left behind.
func New(c Config) *Store {
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Terms == nil {
		c.Terms = func(context.Context, tenants.ID) (*tenants.Terms, error) { return tenants.Unlimited(), nil }
	}
	s := &Store{engine: c.Engine, queues: c.Queues, terms: c.Terms, clock: c.Clock, logger: c.Logger, notifier: c.Notifier, byAccount: c.ByAccount, storage: c.Storage, meter: c.Meter,
		registry: queues.Registry{Engine: c.Engine, Part: "topics", Names: "topic-names"}, checking: make(chan struct{}, runtime.GOMAXPROCS(0))}
	s.carriers = newCarriers(s)
	none := ""
	s.alive.Store(&none)
	s.life, s.end = context.WithCancel(context.Background())
	c.Storage.Register(holderKind, s)
	c.Queues.Connect(s)
	s.Schedules = queues.NewSchedules(queues.SchedulesConfig{Engine: c.Engine, Owners: owners{s}, Kind: "topic", Index: "topic-schedules", Terms: c.Terms,
		Step: s.step, Clock: c.Clock, Logger: c.Logger})
	return s
}

// step is called when a step of what goes over several slots is done. Its error ends the work there.
func (s *Store) step(done string) error {
	if f := s.steps.Load(); f != nil {
		return (*f)(done)
	}
	return nil
}

// topic is a topic as this server sees it.
type topic struct {
	store *Store
	at    address
	uid   string
	keys  []string

	config    atomic.Pointer[config]
	schema    atomic.Pointer[compiled] // the last one that was needed
	used      atomic.Int64             // when it was last called, ms, for forgetting it
	policy    policy.Known
	publishes gatherer
	readers   readers

	senders sync.Mutex // held by who makes a sender
	sender  atomic.Pointer[keptSender]
}

func (s *Store) newTopic(at address, uid string, c *config) *topic {
	t := &topic{store: s, at: at, uid: uid, keys: topicKeys(at.tenant, uid)}
	t.config.Store(c)
	t.touch()
	t.publishes.run = t.runPublishes
	return t
}

func (tp *topic) touch() { tp.used.Store(tp.store.clock.Now().UnixMilli()) }

// idleTopic is how long a topic that nobody uses is remembered.
const idleTopic = 10 * time.Minute

func (s *Store) forgetIdle(before int64) {
	s.topics.Range(func(_, v any) bool {
		if t := v.(*topic); t.used.Load() < before {
			s.forget(t)
		}
		return true
	})
}

func (s *Store) forget(t *topic) { s.topics.CompareAndDelete(t.at, t) }
