// Package queues stores messages and lends them out for a visibility timeout, at least once.
//
// A Store is the queues of all tenants as one server sees them. What it knows of a queue (its settings and how to reach
// its keys) it keeps in a desk, at which callers meet: calls for the same queue that arrive while others are at Redis
// leave together, and receives that find nothing wait there to be woken. All state is in Redis and every change of it
// is one script (lua/), so any number of servers may share one Redis.
package queues

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/policy"
	"github.com/sluicemq/sluice/tenants"
)

// Config is what a Store needs.
type Config struct {
	Engine *engine.Engine // with a started session
	// ReceiptKey is the secret from which the receipt handles' keys are derived, 32 bytes.
	ReceiptKey []byte
	// Terms says what holds for a tenant: tenants.Store.Terms. Default: every tenant may do everything.
	Terms func(context.Context, tenants.ID) (*tenants.Terms, error)
	// Storage keeps what is stored within the tenants' limits. Default: nothing does.
	Storage *tenants.Storage
	Meter   *tenants.Meter // default: nothing is counted
	Clock   clock.Clock    // default: the machine's
	Logger  *slog.Logger   // default: nothing
}

// Store is the queues of all tenants.
type Store struct {
	*Schedules // of the queues

	engine     *engine.Engine
	clock      clock.Clock
	logger     *slog.Logger
	topics     Topics // nil: none
	receiptKey []byte
	terms      func(context.Context, tenants.ID) (*tenants.Terms, error)
	storage    *tenants.Storage
	meter      *tenants.Meter
	session    uint32
	renewing   engine.Joined[*policy.Policy] // reads settings whose policy is asked for

	desks    sync.Map // address → *desk
	byUID    sync.Map // uid → *desk, to find the desk of a wake-up
	draining atomic.Bool
	drained  chan struct{} // closed when draining begins
	drain    sync.Once
	holders  holders
	watches  watches
	hearing  atomic.Bool // wake-ups from other servers arrive
	skewed   atomic.Int64
	alive    atomic.Pointer[string]  // sessions of living servers, for stats.lua
	dropped  atomic.Int64            // messages that this server's sends have pushed out of full queues
	calls    atomic.Int64            // numbers the calls of all lanes; see lane
	step     func(done string) error // between the steps of what goes over several slots; for tests
	life     context.Context         //nolint:containedctx // of what goes on in the background; ends with Run
	end      context.CancelFunc

	// timelineRoom is MaxTimelineBytes, or what a test makes of it.
	timelineRoom int64
}

// address names a queue among all tenants'.
type address struct {
	tenant tenants.ID
	name   string
}

// New returns the store. Call Run before receives can wait across servers.
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
	s := &Store{engine: c.Engine, terms: c.Terms, storage: c.Storage, meter: c.Meter, clock: c.Clock, logger: c.Logger, receiptKey: c.ReceiptKey, session: c.Engine.Session().Number(), drained: make(chan struct{})}
	none := ""
	s.alive.Store(&none)
	s.step = func(string) error { return nil }
	s.timelineRoom = MaxTimelineBytes
	s.Schedules = NewSchedules(SchedulesConfig{Engine: c.Engine, Owners: queueOwners{s}, Kind: "queue", Index: "schedules", Terms: c.Terms, Clock: c.Clock, Logger: c.Logger,
		Step: func(done string) error { return s.step(done) }})
	s.life, s.end = context.WithCancel(context.Background())
	c.Storage.Register(holderKind, s)
	return s
}

// Run listens for wake-ups and tidies up until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	defer s.end()
	var wg sync.WaitGroup
	wg.Go(func() { s.listen(ctx) })
	wg.Go(func() { s.maintain(ctx) })
	wg.Wait()
	return nil
}

// Drain ends every wait: receives that wait return what they have, and new ones do not wait.
func (s *Store) Drain() {
	s.draining.Store(true)
	s.drain.Do(func() { close(s.drained) })
	s.desks.Range(func(_, v any) bool {
		v.(*desk).waiters.release()
		return true
	})
}

// Draining is closed once the store drains: streams end then.
func (s *Store) Draining() <-chan struct{} { return s.drained }

// Skewed reports whether, within the last minute, the clocks of Redis and of this server differed by more than 30 seconds,
// or both were behind the time of what a queue has done already. While they are, nothing becomes due by the clock that is ahead.
func (s *Store) Skewed() bool {
	at := s.skewed.Load()
	return at != 0 && s.clock.Now().UnixMilli()-at < time.Minute.Milliseconds()
}

// Dropped returns how many messages sends of this server have pushed out of full queues.
func (s *Store) Dropped() int64 { return s.dropped.Load() }

// refusals of lib/queue.lua, by the word that they start with.
var (
	errGone    = errors.New("the queue is gone")                // deleted, or its name now means another queue
	errRetired = fmt.Errorf("%w: it is being deleted", errGone) // its keys may still be there
	errLate    = errors.New("a later call has taken the lane")
)

// errStale is why a call was not sent: its arguments depend on settings that have changed.
var errStale = errors.New("the settings have changed")

// desk is one queue as this server sees it.
type desk struct {
	store *Store
	at    address
	uid   string
	keys  []string
	sign  *signer

	// Of a queue with several shards each has a desk. The first stands for the queue: it alone is entered in Store.desks, and
	// has all of them, itself first. The others know it as front.
	index  int
	shards []*desk // nil: there is one
	front  *desk

	config atomic.Pointer[config]
	used   atomic.Int64 // when it was last called, ms, for forgetting it
	policy policy.Known

	sends    merger[*sendCall]
	receives merger[*receiveCall]
	settles  merger[*settleCall]
	others   chan *lane // for calls that are not joined

	waiters  waiters
	carrier  carrier
	orphaned atomic.Int64 // until when the dead-letter queue is taken for missing, ms
}

// otherLanes are a desk's lanes for calls that are not joined. Sends, receives and settlements have one lane each: a
// second one would leave sooner and with less, and each call costs a round trip and a share of an fsync. Measured, one
// lane takes a fifth off the CPU of Redis at 64 callers.
const otherLanes = 2

func (s *Store) newDesk(at address, uid string, c *config) *desk {
	d := s.newShard(at, uid, c, newSigner(queueKey(s.receiptKey, at.tenant.String(), uid)), &lobby{})
	if c.Shards > 1 {
		d.shards = []*desk{d}
		for k := 1; k < c.Shards; k++ {
			shard := s.newShard(at, shardUID(uid, k, c.Shards), c, d.sign, d.waiters.lobby)
			shard.index, shard.front = k, d
			d.shards = append(d.shards, shard)
		}
	}
	return d
}

func (s *Store) newShard(at address, uid string, c *config, sign *signer, l *lobby) *desk {
	d := &desk{store: s, at: at, uid: uid, keys: queueKeys(at.tenant, uid), sign: sign}
	d.config.Store(c)
	d.touch()
	d.sends = merger[*sendCall]{run: d.runSends, load: (*sendCall).load}
	d.receives = merger[*receiveCall]{run: d.runReceives, load: (*receiveCall).load}
	d.settles = merger[*settleCall]{run: d.runSettles, load: (*settleCall).load}
	d.sends.free = []*lane{newLane(s.session, 0)}
	d.receives.free = []*lane{newLane(s.session, 1)}
	d.settles.free = []*lane{newLane(s.session, 2)}
	d.others = make(chan *lane, otherLanes)
	for i := range otherLanes {
		d.others <- newLane(s.session, 3+i)
	}
	d.waiters.init(d, l)
	d.carrier.desk = d
	return d
}

func (d *desk) touch() { d.used.Store(d.store.clock.Now().UnixMilli()) }

// desk returns the desk of a queue, looking it up when this server does not know it.
func (s *Store) desk(ctx context.Context, t tenants.ID, name string) (*desk, error) {
	at := address{t, name}
	if v, ok := s.desks.Load(at); ok {
		d := v.(*desk)
		d.touch()
		return d, nil
	}
	if ValidName(name) != nil {
		return nil, notFound(name)
	}
	uid, err := s.lookup(ctx, t, name)
	if err != nil {
		return nil, err
	}
	if uid == "" {
		return nil, notFound(name)
	}
	c, err := s.load(ctx, t, uid)
	if err == nil && c.Shards > 1 {
		err = s.level(ctx, t, uid, c)
	}
	if errors.Is(err, errGone) {
		// Deleted between the two reads, half deleted, or its data is lost: the registry, read again, tells which.
		if again, err := s.lookup(ctx, t, name); err != nil || again != uid {
			return nil, notFoundOr(err, name)
		}
		if errors.Is(err, errRetired) {
			return nil, notFoundOr(s.bury(ctx, t, name, uid), name)
		}
		s.logger.Error("the data of a registered queue is missing", "tenant", t.String(), "queue", name, "uid", uid)
		return nil, ErrDataLost
	}
	if err != nil {
		return nil, err
	}
	return s.keep(at, uid, c), nil
}

// keep returns the desk of a queue, made now unless another caller was first.
func (s *Store) keep(at address, uid string, c *config) *desk {
	fresh := s.newDesk(at, uid, c)
	v, loaded := s.desks.LoadOrStore(at, fresh)
	d := v.(*desk)
	if loaded && d.uid != uid {
		s.forget(d)
		return s.keep(at, uid, c)
	}
	for _, shard := range d.all() {
		s.byUID.Store(shard.uid, shard)
	}
	return d
}

// forget drops a desk whose queue is gone. Its waiting receives are answered empty.
func (s *Store) forget(d *desk) {
	d = d.first()
	s.desks.CompareAndDelete(d.at, d)
	for _, shard := range d.all() {
		s.byUID.CompareAndDelete(shard.uid, shard)
	}
	d.waiters.release()
}

// with calls f with the queue's desk, and once more when the desk turns out to be that of a queue that is gone.
func (s *Store) with(ctx context.Context, t tenants.ID, name string, f func(*desk) error) error {
	for try := 0; ; try++ {
		d, err := s.desk(ctx, t, name)
		if err != nil {
			return err
		}
		err = f(d)
		if !errors.Is(err, errGone) {
			return err
		}
		s.forget(d)
		if try > 0 {
			return notFound(name)
		}
	}
}

// maxStale bounds how often one call is repeated because the settings changed under it.
const maxStale = 10

// call runs a queue's script in a lane. args are made anew when the settings have changed, or are nil to give up.
func (d *desk) call(ctx context.Context, s *engine.Script, ln *lane, args func(*config) []any) ([]any, error) {
	ln.seq = d.store.calls.Add(1)
	return d.numbered(ctx, s, ln, args)
}

// numbered is call for a call that has its number in the lane already.
func (d *desk) numbered(ctx context.Context, s *engine.Script, ln *lane, args func(*config) []any) ([]any, error) {
	for range maxStale {
		c, asked := d.config.Load(), d.store.clock.Now()
		list := args(c)
		if list == nil {
			return nil, errStale
		}
		reply, err := d.store.engine.Do(ctx, s, d.keysOf(s, c), append([]any{d.known(ctx, c, ln), ln.field, ln.seq}, list...)...)
		if err != nil {
			return nil, err
		}
		answer, err := d.read(reply)
		if err == nil && answer == nil {
			continue
		}
		if err == nil && d.front == nil { // a shard may hear of a change later than the first
			d.policy.Confirm(asked)
		}
		return answer, err
	}
	return nil, engine.ErrUnavailable
}

// read sorts out the refusals of lib/queue.lua. It returns nil and no error when the settings were old and have been
// renewed, so that the call can be repeated.
func (d *desk) read(reply any) ([]any, error) {
	list, ok := reply.([]any)
	if !ok || len(list) == 0 {
		return nil, unexpected(reply)
	}
	switch list[0] {
	case "stale":
		if len(list) != 3 {
			return nil, unexpected(reply)
		}
		version, _ := list[1].(string)
		raw, _ := list[2].(string)
		c, err := decodeConfig(version, raw)
		if err != nil {
			return nil, engine.ErrBroken.Because(err)
		}
		d.learn(c)
		return nil, nil
	case "gone":
		return nil, errRetired
	case "absent":
		return nil, errGone
	case "late":
		return nil, engine.ErrUnknown.Because(errLate)
	}
	return list, nil
}

// alone runs a script that is not joined with others.
func (d *desk) alone(ctx context.Context, s *engine.Script, args func(*config) []any) ([]any, error) {
	select {
	case ln := <-d.others:
		defer func() { d.others <- ln }()
		return d.call(ctx, s, ln, args)
	case <-ctx.Done():
		return nil, engine.ErrUnavailable.Because(ctx.Err())
	}
}

func (d *desk) keysOf(s *engine.Script, c *config) []string {
	keys := d.keys[:len(d.keys):len(d.keys)]
	if c.TraceRetention > 0 {
		keys = append(keys, timelineKeys(d.at.tenant, d.uid)...)
	}
	if s == purgeScript {
		keys = append(keys, engine.Key(d.at.tenant.String(), d.uid, "none"))
	}
	return keys
}
