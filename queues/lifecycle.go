package queues

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Queue is a queue with its settings.
type Queue struct {
	Name     string
	Settings Settings
	Created  time.Time
	Updated  time.Time
	Paused   Paused
	ETag     string // changes with the settings and with pauses, without quotes
}

// Condition is what the caller expects of the queue that it changes. The zero value expects nothing.
type Condition struct {
	ETag    string // the queue has this ETag ("*": it exists)
	Missing bool   // there is no such queue
}

func (c *config) queue(uid string) Queue {
	return Queue{Name: c.name, Settings: c.Settings, Created: c.created, Updated: c.updated, Paused: c.paused, ETag: etag(uid, c.version)}
}

// etag differs between two queues of one name, the later made after the earlier was deleted.
func etag(uid, version string) string {
	sum := sha256.Sum256([]byte(uid + "/" + version))
	return hex.EncodeToString(sum[:8])
}

// Put creates a queue or replaces its settings, all but Settings.AWS, and reports whether it was created.
func (s *Store) Put(ctx context.Context, t tenants.ID, name string, set Settings, cond Condition) (Queue, bool, error) {
	if err := ValidName(name); err != nil {
		return Queue{}, false, err
	}
	set = set.For(name)
	if err := set.validateFor(name); err != nil {
		return Queue{}, false, err
	}
	replace := func(next *config) error {
		kept := next.AWS
		next.Settings = set
		next.AWS = kept
		return nil
	}
	q, err := s.change(ctx, t, name, cond, replace)
	if !errors.Is(err, ErrQueueNotFound) {
		return q, false, err
	}
	if cond.ETag != "" {
		return Queue{}, false, ErrPrecondition
	}
	if err := s.forwardable(ctx, t, name, set.ForwardTo); err != nil {
		return Queue{}, false, err
	}
	if err := s.provide(ctx, t, name, set); err != nil {
		return Queue{}, false, err
	}
	q, created, err := s.create(ctx, t, name, set)
	if err != nil || created {
		return q, created, err
	}
	// Another caller created it, now or before a crash.
	q, err = s.change(ctx, t, name, cond, replace)
	return q, false, err
}

// Get returns a queue.
func (s *Store) Get(ctx context.Context, t tenants.ID, name string) (Queue, error) {
	var q Queue
	err := s.with(ctx, t, name, func(d *desk) error {
		c, err := s.load(ctx, t, d.uid)
		if err != nil {
			return err
		}
		d.config.Store(c)
		q = c.queue(d.uid)
		return nil
	})
	return q, err
}

// Known returns the settings of a queue as this server knows them, without asking Redis unless it knows none. They may be
// those of before the last change, so nothing that is refused by them is refused for good.
func (s *Store) Known(ctx context.Context, t tenants.ID, name string) (Settings, error) {
	d, err := s.desk(ctx, t, name)
	if err != nil {
		return Settings{}, err
	}
	return d.config.Load().Settings, nil
}

// Update changes a queue's settings by a function of them. It may be called more than once.
func (s *Store) Update(ctx context.Context, t tenants.ID, name string, cond Condition, f func(Settings) (Settings, error)) (Queue, error) {
	return s.change(ctx, t, name, cond, func(next *config) error {
		want, err := f(next.Settings)
		if err != nil {
			return err
		}
		next.Settings = want.For(name)
		return next.Settings.validateFor(name)
	})
}

// change changes what is known of a queue by f, which may be called more than once.
func (s *Store) change(ctx context.Context, t tenants.ID, name string, cond Condition, f func(next *config) error) (Queue, error) {
	var q Queue
	err := s.with(ctx, t, name, func(d *desk) error {
		for range maxStale {
			c, err := s.load(ctx, t, d.uid)
			if err != nil {
				return err
			}
			d.config.Store(c)
			if cond.Missing || (cond.ETag != "" && cond.ETag != "*" && cond.ETag != etag(d.uid, c.version)) {
				return ErrPrecondition
			}
			want := *c
			if err := f(&want); err != nil {
				return err
			}
			if want.Settings, err = want.keepShards(c.Shards); err != nil {
				return err
			}
			if same(want.Settings, c.Settings) && want.paused.same(c.paused) {
				q = c.queue(d.uid)
				return s.level(ctx, t, d.uid, c)
			}
			if want.ForwardTo != c.ForwardTo {
				if err := s.forwardable(ctx, t, name, want.ForwardTo); err != nil {
					return err
				}
			}
			if want.Redrive.DeadLetterQueue != c.Redrive.DeadLetterQueue {
				if err := s.provide(ctx, t, name, want.Settings); err != nil {
					return err
				}
			}
			next, err := s.configure(ctx, d, c, &want)
			if err != nil {
				return err
			}
			if next != nil {
				q = next.queue(d.uid)
				return nil
			}
		}
		return engine.ErrUnavailable
	})
	return q, err
}

// forwardable checks that a queue may forward to another one, which must be there: messages that go on to a queue of a
// misspelt name would wait where nobody looks for them. Rings and long chains that come about in other ways, by changes at
// the same time or at their other end, end where a message has been forwarded too often.
func (s *Store) forwardable(ctx context.Context, t tenants.ID, name, to string) error {
	for n, next := 0, to; next != ""; n++ {
		switch {
		case next == name:
			return errs.Invalidf("/forward_to", "The queue %q forwards to %q itself: messages would go round.", to, name)
		case n == MaxForwards:
			return errs.Invalidf("/forward_to", "A message is forwarded at most %d times; from %q it would go on.", MaxForwards, next)
		}
		if topic, ok := CutTopicTarget(next); ok {
			err := s.forwardableTo(ctx, t, name, topic)
			if n > 0 && errs.KindOf(err) == errs.NotFound {
				return nil
			}
			return asFault(err)
		}
		q, err := s.Get(ctx, t, next)
		if errors.Is(err, ErrQueueNotFound) {
			if n == 0 {
				return errs.Invalidf("/forward_to", "There is no queue %q.", to)
			}
			return nil
		}
		if err != nil {
			return err
		}
		next = q.Settings.ForwardTo
	}
	return nil
}

// provide sees to it that the dead-letter queue of a queue with these settings is there, and that it may be that.
func (s *Store) provide(ctx context.Context, t tenants.ID, name string, set Settings) error {
	dead := set.Redrive.DeadLetterQueue
	if dead == "" {
		return nil
	}
	q, err := s.Get(ctx, t, dead)
	if errors.Is(err, ErrQueueNotFound) {
		fresh := DefaultSettings().For(dead)
		fresh.Retention = deadRetention
		_, _, err = s.create(ctx, t, dead, fresh)
		return err
	}
	if err == nil && !q.Settings.RedriveAllow.allows(name) {
		return errs.Invalidf("/redrive/dead_letter_queue", "The queue %q does not allow to be the dead-letter queue of %q: see its redrive_allow.", dead, name)
	}
	return err
}

// configure replaces c by want. It returns nil when another change came first. Receives that wait learn when they are
// paused, or not any more.
func (s *Store) configure(ctx context.Context, d *desk, c, want *config) (*config, error) {
	raw, err := encodeSettings(c.name, c.created, s.clock.Now(), want.Settings, want.paused)
	if err != nil {
		return nil, err
	}
	if c.TraceRetention == 0 && want.TraceRetention > 0 {
		if err := s.makeTimelines(ctx, d.at.tenant, d.uid, c.Shards); err != nil {
			return nil, err
		}
	}
	tell := "0"
	if (c.paused.Receive == nil) != (want.paused.Receive == nil) {
		tell = "1"
	}
	reply, err := s.engine.Do(ctx, configureScript, d.keys[:1], append([]any{c.version, raw, tell}, want.head()...)...)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	switch engine.Text(list, 0) {
	case "ok":
		next, err := decodeConfig(engine.Text(list, 1), raw)
		if err != nil {
			return nil, err
		}
		d.learn(next)
		if err := s.step("configured"); err != nil {
			return nil, err
		}
		err = s.level(ctx, d.at.tenant, d.uid, next)
		if err == nil && c.TraceRetention > 0 && next.TraceRetention == 0 {
			err = s.dropTimelines(ctx, d.at.tenant, d.uid, next.Shards)
		}
		return next, partly(err)
	case "stale":
		return nil, nil
	case "gone":
		return nil, errRetired
	case "absent":
		return nil, errGone
	}
	return nil, unexpected(reply)
}

func same(a, b Settings) bool {
	labels := maps.Equal(a.Labels, b.Labels)
	a.Labels, b.Labels = nil, nil
	return labels && fmt.Sprint(a) == fmt.Sprint(b)
}

// create makes a queue: reserve the name, make the keys, make the name live. Each step can be repeated, and whoever
// meets a reservation finishes it, so a crash in between leaves nothing that stays half done. It reports false when the
// queue is there by then and somebody else has made its keys.
func (s *Store) create(ctx context.Context, t tenants.ID, name string, set Settings) (Queue, bool, error) {
	now := s.clock.Now()
	set.Shards = max(set.Shards, 1)
	raw, err := encodeSettings(name, now, now, set, Paused{})
	if err != nil {
		return Queue{}, false, err
	}
	for range maxStale {
		uid, err := s.reserve(ctx, t, name)
		if err != nil || uid == "" {
			return Queue{}, false, err
		}
		reply, err := s.engine.Do(ctx, initScript, queueKeys(t, uid), append([]any{raw, kind(name)}, set.head()...)...)
		if err != nil {
			return Queue{}, false, err
		}
		list, _ := reply.([]any)
		c, err := decodeConfig(engine.Text(list, 1), engine.Text(list, 2))
		if err != nil {
			return Queue{}, false, engine.ErrBroken.Because(err)
		}
		if err := s.step("made"); err != nil {
			return Queue{}, false, err
		}
		if err := s.makeRest(ctx, t, uid, c); err != nil {
			return Queue{}, false, err
		}
		live, err := s.confirm(ctx, t, name, uid)
		if err != nil {
			return Queue{}, false, err
		}
		if live {
			s.keep(address{t, name}, uid, c)
			return c.queue(uid), engine.Text(list, 2) == raw, nil
		}
		// A sweep took the reservation for that of a dead server.
		if err := s.discard(ctx, t, uid); err != nil {
			return Queue{}, false, err
		}
	}
	return Queue{}, false, engine.ErrUnavailable
}

// kind is the type of a queue as its scripts know it.
func kind(name string) string {
	if IsFIFOName(name) {
		return "fifo"
	}
	return "standard"
}

// reserve returns the uid for a queue's keys, "" where the queue is live already.
func (s *Store) reserve(ctx context.Context, t tenants.ID, name string) (string, error) {
	terms, err := s.terms(ctx, t)
	if err != nil {
		return "", err
	}
	most := terms.Limits[tenants.LimitQueues]
	uid, err := s.registry().Reserve(ctx, t, name, most)
	if full, ok := errors.AsType[RegistryFull](err); ok {
		return "", tenants.LimitQueues.Reached(ErrQueueQuota, most, full.Used)
	}
	if err != nil || uid == "" {
		return "", err
	}
	return uid, s.step("reserved")
}

// registry holds the names of queues.
func (s *Store) registry() Registry {
	return Registry{Engine: s.engine, Part: registryPart, Names: namesPart}
}

func (s *Store) confirm(ctx context.Context, t tenants.ID, name, uid string) (bool, error) {
	return s.registry().Confirm(ctx, t, name, uid)
}

// discard removes keys to which no name leads.
func (s *Store) discard(ctx context.Context, t tenants.ID, uid string) error {
	if _, err := s.engine.Do(ctx, retireScript, queueKeys(t, uid)[:1], ""); err != nil {
		return err
	}
	if err := s.retireShards(ctx, t, uid); err != nil {
		return err
	}
	return s.erase(ctx, t, uid)
}

// newUID returns a name for a queue's keys: 60 random bits.
func newUID() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = alphabet[b[i]%32]
	}
	return string(b)
}

// Delete deletes a queue with all its messages: mark it gone, take its name out of the registry, remove its keys.
func (s *Store) Delete(ctx context.Context, t tenants.ID, name string, cond Condition) error {
	return s.with(ctx, t, name, func(d *desk) error {
		version := ""
		if cond.ETag != "" && cond.ETag != "*" {
			c, err := s.load(ctx, t, d.uid)
			if err != nil {
				return err
			}
			if cond.ETag != etag(d.uid, c.version) {
				return ErrPrecondition
			}
			version = c.version
		}
		reply, err := s.engine.Do(ctx, retireScript, d.keys[:1], version)
		if err != nil {
			return err
		}
		list, _ := reply.([]any)
		switch engine.Text(list, 0) {
		case "stale":
			return ErrPrecondition
		case "absent":
			return errGone
		}
		s.forget(d)
		if err := s.step("retired"); err != nil {
			return err
		}
		return s.bury(ctx, t, name, d.uid)
	})
}

// bury finishes the deletion of a retired queue. It can be repeated.
func (s *Store) bury(ctx context.Context, t tenants.ID, name, uid string) error {
	if err := s.retireShards(ctx, t, uid); err != nil {
		return err
	}
	if name != "" {
		if err := s.registry().Unregister(ctx, t, name, uid); err != nil {
			return err
		}
		if err := s.step("unregistered"); err != nil {
			return err
		}
	}
	if err := s.DropSchedules(ctx, t, uid); err != nil {
		return err
	}
	if err := s.erase(ctx, t, uid); err != nil {
		return err
	}
	if err := s.step("erased"); err != nil {
		return err
	}
	return s.registry().Forget(ctx, t, uid)
}

// Erase deletes at most so many queues of a tenant that is being deleted, and returns how many are left.
func (s *Store) Erase(ctx context.Context, t tenants.ID, most int) (left int64, err error) {
	return s.registry().Erase(ctx, t, most, func(ctx context.Context, q Named) error {
		if v, ok := s.byUID.Load(q.UID); ok {
			s.forget(v.(*desk))
		}
		if _, err := s.engine.Do(ctx, retireScript, queueKeys(t, q.UID)[:1], ""); err != nil {
			return err
		}
		return s.bury(ctx, t, q.Name, q.UID)
	})
}

// Listing is a queue in a list, with its counts.
type Listing struct {
	Queue
	Stats
}

// GetAll returns queues, in the order of their names. Those that are not there are missing.
func (s *Store) GetAll(ctx context.Context, t tenants.ID, names []string) ([]Queue, error) {
	return gather(ctx, names, func(ctx context.Context, name string) (Queue, error) { return s.Get(ctx, t, name) })
}

// gather asks for each of some queues, 16 at the same time, and leaves out those that have been deleted meanwhile.
func gather[T any](ctx context.Context, names []string, ask func(ctx context.Context, name string) (T, error)) ([]T, error) {
	found := make([]*T, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, name := range names {
		g.Go(func() error {
			one, err := ask(gctx, name)
			if errors.Is(err, ErrQueueNotFound) {
				return nil
			}
			found[i] = &one
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	list := make([]T, 0, len(found))
	for _, one := range found {
		if one != nil {
			list = append(list, *one)
		}
	}
	return list, nil
}

// Listings returns queues with their counts, in the order of their names. Those that are not there are missing.
func (s *Store) Listings(ctx context.Context, t tenants.ID, names []string) ([]Listing, error) {
	return gather(ctx, names, func(ctx context.Context, name string) (Listing, error) {
		q, err := s.Get(ctx, t, name)
		if err != nil {
			return Listing{}, err
		}
		st, err := s.Stats(ctx, t, name)
		return Listing{q, st}, err
	})
}

// Names returns up to limit names of queues that begin with prefix and come after the name after, and the name after
// which the next page goes on, or "".
func (s *Store) Names(ctx context.Context, t tenants.ID, prefix, after string, limit int) ([]string, string, error) {
	return s.registry().Page(ctx, t, prefix, after, limit)
}

// maxLook is how many queues one call of Where looks at.
const maxLook = 10_000

// Where returns up to limit names of queues that begin with prefix and come after the name after, which look approves by
// their names and keep by their settings; and the name after which the next part goes on, or "". There is no index of
// settings: it reads those of up to 10,000 queues a call, so a part may be short, and empty, before the end.
func (s *Store) Where(ctx context.Context, t tenants.ID, prefix, after string, limit int, look func(name string) bool, keep func(Settings) bool) ([]string, string, error) {
	const page = 500
	var kept []string
	for range maxLook / page {
		names, next, err := s.Names(ctx, t, prefix, after, page)
		if err != nil {
			return nil, "", err
		}
		list, err := s.GetAll(ctx, t, slices.DeleteFunc(names, func(name string) bool { return !look(name) }))
		if err != nil {
			return nil, "", err
		}
		for _, q := range list {
			if !keep(q.Settings) {
				continue
			}
			if len(kept) == limit {
				return kept, kept[limit-1], nil
			}
			kept = append(kept, q.Name)
		}
		if after = next; next == "" {
			return kept, "", nil
		}
	}
	return kept, after, nil
}

// DeadLetterSources returns up to limit names of queues whose dead-letter queue is the one of the given name, after the
// name after, as Where does.
func (s *Store) DeadLetterSources(ctx context.Context, t tenants.ID, queue, after string, limit int) ([]string, string, error) {
	return s.Where(ctx, t, "", after, limit,
		func(name string) bool { return IsFIFOName(name) == IsFIFOName(queue) },
		func(set Settings) bool { return set.Redrive.DeadLetterQueue == queue })
}

// lookup returns the uid of a live queue, or "".
func (s *Store) lookup(ctx context.Context, t tenants.ID, name string) (string, error) {
	return s.registry().Lookup(ctx, t, name)
}

// load reads a queue's settings from Redis.
func (s *Store) load(ctx context.Context, t tenants.ID, uid string) (*config, error) {
	reply, err := s.engine.Do(ctx, settingsScript, []string{engine.Key(t.String(), uid, parts[0])})
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	switch engine.Text(list, 0) {
	case "ok":
		c, err := decodeConfig(engine.Text(list, 1), engine.Text(list, 2))
		if err != nil {
			return nil, engine.ErrBroken.Because(err)
		}
		return c, nil
	case "gone":
		return nil, errRetired
	case "absent":
		return nil, errGone
	}
	return nil, unexpected(reply)
}
