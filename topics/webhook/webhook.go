// Package webhook delivers what is published to HTTPS endpoints, signed, with bounded retries.
//
// Each subscription has a queue of its own. What is published is a pointer to the topic's log there, so that a body is not
// stored for each endpoint; it is copied into the queue's own store only when it has to stay, because an attempt failed or
// the endpoint is slow. The queues lie in a fixed number of shards, each in one slot, and one server at a time sends for a
// shard: it knows from an index in the shard which queues have something due, so that an idle one costs nothing. An entry
// is lent for as long as an attempt may take. Whoever comes after a server that died finds what was lent and sends it
// again: at least once, never not at all.
//
// Whether an endpoint may be sent to is a matter of the endpoint and not of its messages: while its breaker is open, or it
// asked for peace, or its owner paused it, nothing is lent, and no message loses an attempt by it.
package webhook

import (
	"context"
	"crypto/cipher"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// Config is what a Store needs.
type Config struct {
	Engine *engine.Engine // with a started session
	Topics *topics.Store
	// Terms says what holds for a tenant: tenants.Store.Terms. Default: every tenant may do everything.
	Terms  func(context.Context, tenants.ID) (*tenants.Terms, error)
	Keys   *keyring.Keyring
	Egress *egress.Client
	Meter  *tenants.Meter // counts attempts that failed; default: nothing is counted
	// Origin is the name by which this installation asks endpoints whether it may send to them. Default "sluice".
	Origin string
	Clock  clock.Clock  // default: the machine's
	Logger *slog.Logger // default: nothing
}

// Store is the webhooks of all tenants.
type Store struct {
	engine *engine.Engine
	topics *topics.Store
	terms  func(context.Context, tenants.ID) (*tenants.Terms, error)
	egress *egress.Client
	meter  *tenants.Meter
	sealer cipher.AEAD
	origin string
	clock  clock.Clock
	logger *slog.Logger

	pusher  *pusher
	outage  *outage
	bodies  bodies
	notes   notes
	counted counters
	steps   atomic.Pointer[func(done string) error] // called between the steps of a delivery; for tests
	life    context.Context                         //nolint:containedctx // of requests that are under way; ends a while after Run
	end     context.CancelFunc
}

// New returns the store, and tells the topics of it. Call Run, or nothing is sent.
func New(c Config) *Store {
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Origin == "" {
		c.Origin = "sluice"
	}
	if c.Terms == nil {
		c.Terms = func(context.Context, tenants.ID) (*tenants.Terms, error) { return tenants.Unlimited(), nil }
	}
	s := &Store{engine: c.Engine, topics: c.Topics, terms: c.Terms, egress: c.Egress, meter: c.Meter, sealer: newSealer(c.Keys), origin: c.Origin, clock: c.Clock, logger: c.Logger}
	s.life, s.end = context.WithCancel(context.Background())
	s.pusher = newPusher(s)
	s.outage = newOutage(c.Clock)
	c.Topics.Connect(s)
	return s
}

// step is called when a step of a delivery is done. Its error ends the work there, as the death of the server does.
func (s *Store) step(done string) error {
	if f := s.steps.Load(); f != nil {
		return (*f)(done)
	}
	return nil
}

// drain is how long Run waits, when it is to end, for attempts that are under way. What is not done by then is given up,
// and tried again by another server without a loss of an attempt.
const drain = 5 * time.Second

// Run sends until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	defer s.end()
	s.pusher.run(ctx)
	return nil
}

// Outcomes are what became of attempts since the server started.
type Outcomes struct {
	Delivered, Retried, Failed, Released int64
	// Refused are attempts that the rules for outgoing requests forbade.
	Refused int64
	// Disabled are endpoints that were disabled because of what they answered, or did not.
	Disabled int64
	// Told are events that were published to EventsTopic, Untold those that it did not take.
	Told, Untold int64
	// SetAside are messages that could not be read, or were taken up too often without a result.
	SetAside int64
	// Damaged are webhooks whose settings or secrets were found to be unreadable.
	Damaged int64
	// Outages is how often most endpoints failed at the same time, Excused how many attempts were not charged because of that.
	Outages, Excused int64
	Sending          int64 // now
	Shards           int64 // for which this server sends now
}

type counters struct{ delivered, retried, failed, released, refused, disabled, told, untold, setAside, damaged, outages, excused atomic.Int64 }

// Outcomes returns the counts of this server.
func (s *Store) Outcomes() Outcomes {
	c := &s.counted
	sending, shards := s.pusher.load()
	return Outcomes{Delivered: c.delivered.Load(), Retried: c.retried.Load(), Failed: c.failed.Load(), Released: c.released.Load(),
		Refused: c.refused.Load(), Disabled: c.disabled.Load(), Told: c.told.Load(), Untold: c.untold.Load(), SetAside: c.setAside.Load(), Damaged: c.damaged.Load(), Outages: c.outages.Load(), Excused: c.excused.Load(), Sending: sending, Shards: shards}
}

// identity names a webhook among all tenants'.
type identity struct {
	tenant tenants.ID
	uid    string
}
