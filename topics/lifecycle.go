package topics

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Topic is a topic with its settings.
type Topic struct {
	Name     string
	Settings Settings
	Created  time.Time
	Updated  time.Time
	ETag     string // changes with the settings, without quotes
	Stats
}

// Stats are what a topic holds.
type Stats struct {
	Now           time.Time
	Last          int64     // sequence number of the last message that was published; 0: none
	Published     int64     // how many were since the topic was made
	Kept          int64     // how many the log keeps
	Bytes         int64     // of the log, with what is about to be removed
	Oldest        int64     // sequence number of the oldest one that is kept; 0: none
	OldestAt      time.Time // when that was published; zero: there is none
	Subscriptions int64
}

// Condition is what the caller expects of the thing that it changes. The zero value expects nothing.
type Condition = queues.Condition

// holds reports whether a thing is as the caller expects.
func holds(cond Condition, there bool, etag string) bool {
	switch cond.ETag {
	case "":
		return !cond.Missing || !there
	case "*":
		return there
	}
	return there && cond.ETag == etag
}

// etag names a version of what has a uid.
func etag(uid, version string) string {
	sum := sha256.Sum256([]byte(uid + "\x00" + version))
	return hex.EncodeToString(sum[:8])
}

// topic returns a topic, looking it up when this server does not know it.
func (s *Store) topic(ctx context.Context, t tenants.ID, name string) (*topic, error) {
	to := address{t, name}
	if v, ok := s.topics.Load(to); ok {
		known := v.(*topic)
		known.touch()
		return known, nil
	}
	if ValidName(name) != nil {
		return nil, notFound(name)
	}
	uid, err := s.registry.Lookup(ctx, t, name)
	if err != nil {
		return nil, err
	}
	if uid == "" {
		return nil, notFound(name)
	}
	c, _, err := s.load(ctx, topicKeys(t, uid), nil)
	if errors.Is(err, errGone) {
		// Deleted between the two reads, half deleted, or its data is lost: the registry, read again, tells which.
		if again, err := s.registry.Lookup(ctx, t, name); err != nil || again != uid {
			return nil, notFoundOr(err, name)
		}
		if errors.Is(err, errRetired) {
			return nil, notFoundOr(s.bury(ctx, t, name, uid), name)
		}
		s.logger.Error("the data of a registered topic is missing", "tenant", t.String(), "topic", name, "uid", uid)
		return nil, ErrDataLost
	}
	if err != nil {
		return nil, err
	}
	return s.keep(to, uid, c), nil
}

// keep returns a topic, made now unless another caller was first.
func (s *Store) keep(to address, uid string, c *config) *topic {
	fresh := s.newTopic(to, uid, c)
	v, loaded := s.topics.LoadOrStore(to, fresh)
	known := v.(*topic)
	if loaded && known.uid != uid {
		s.forget(known)
		return s.keep(to, uid, c)
	}
	return known
}

// with calls f with a topic, and once more when it turns out to be one that is gone.
func (s *Store) with(ctx context.Context, t tenants.ID, name string, f func(*topic) error) error {
	for try := 0; ; try++ {
		tp, err := s.topic(ctx, t, name)
		if err != nil {
			return err
		}
		err = f(tp)
		if !errors.Is(err, errGone) {
			return err
		}
		s.forget(tp)
		if try > 0 {
			return notFound(name)
		}
	}
}

// load reads a topic's settings, and when counted is given what it holds.
func (s *Store) load(ctx context.Context, keys []string, counted *config) (*config, Stats, error) {
	retention := any("")
	if counted != nil {
		retention = counted.Retention.Milliseconds()
	}
	reply, err := s.engine.Do(ctx, loadScript, keys, retention, Hold.Milliseconds())
	if err != nil {
		return nil, Stats{}, err
	}
	list, err := verdict(reply)
	if err != nil {
		return nil, Stats{}, err
	}
	c, err := decodeConfig(engine.Text(list, 1), engine.Text(list, 2))
	if err != nil {
		return nil, Stats{}, engine.ErrBroken.Because(err)
	}
	st := Stats{Now: at(engine.Number(list, 3)), Last: engine.Number(list, 4), Published: engine.Number(list, 5), Kept: engine.Number(list, 6), Bytes: engine.Number(list, 7),
		Oldest: engine.Number(list, 8), Subscriptions: engine.Number(list, 9)}
	if st.Oldest != 0 {
		st.OldestAt = publishedAt(st.Oldest)
	}
	return c, st, nil
}

// look returns a topic as it is now.
func (tp *topic) look(ctx context.Context) (*config, Topic, error) {
	c := tp.config.Load()
	for range maxStale {
		now, st, err := tp.store.load(ctx, tp.keys, c)
		if err != nil {
			return nil, Topic{}, err
		}
		tp.config.Store(now)
		if now.Retention == c.Retention {
			return now, now.topic(tp.uid, st), nil
		}
		c = now // it was counted by a retention that is not that of now
	}
	return nil, Topic{}, engine.ErrUnavailable
}

// maxStale bounds how often one call is repeated because the settings changed under it.
const maxStale = 10

func (c *config) topic(uid string, st Stats) Topic {
	return Topic{Name: c.name, Settings: c.Settings, Created: c.created, Updated: c.updated, ETag: etag(uid, c.version), Stats: st}
}

// Put creates a topic or replaces its settings, all but AWS and Schemas, and reports whether it was created.
func (s *Store) Put(ctx context.Context, t tenants.ID, name string, set Settings, cond Condition) (Topic, bool, error) {
	if err := set.validateFor(name); err != nil {
		return Topic{}, false, err
	}
	for range maxStale {
		if !cond.Missing {
			out, err := s.change(ctx, t, name, cond, func(have Settings) Settings {
				next := set
				next.AWS, next.Schemas = have.AWS, have.Schemas
				return next
			})
			if !errors.Is(err, ErrTopicNotFound) {
				return out, false, err
			}
			if cond.ETag != "" {
				return Topic{}, false, ErrPrecondition
			}
		}
		out, created, err := s.create(ctx, t, name, set)
		switch {
		case err != nil || created:
			return out, created, err
		case cond.Missing:
			return Topic{}, false, ErrPrecondition
		}
	}
	return Topic{}, false, engine.ErrUnavailable
}

// create makes a topic in steps that can be repeated. It reports false when the topic is there by then.
func (s *Store) create(ctx context.Context, t tenants.ID, name string, set Settings) (Topic, bool, error) {
	now := s.clock.Now()
	raw, err := set.encode(name, now, now)
	if err != nil {
		return Topic{}, false, err
	}
	terms, err := s.terms(ctx, t)
	if err != nil {
		return Topic{}, false, err
	}
	most := terms.Limits[tenants.LimitTopics]
	for range maxStale {
		uid, err := s.registry.Reserve(ctx, t, name, most)
		full, isFull := errors.AsType[queues.RegistryFull](err)
		switch {
		case isFull:
			return Topic{}, false, tenants.LimitTopics.Reached(ErrTopicQuota, most, full.Used)
		case err != nil || uid == "":
			return Topic{}, false, err
		}
		if err := s.step("reserved"); err != nil {
			return Topic{}, false, err
		}
		reply, err := s.engine.Do(ctx, initScript, topicKeys(t, uid), raw)
		if err != nil {
			return Topic{}, false, err
		}
		list, err := verdict(reply)
		if err != nil {
			return Topic{}, false, err
		}
		c, err := decodeConfig(engine.Text(list, 1), engine.Text(list, 2))
		if err != nil {
			return Topic{}, false, engine.ErrBroken.Because(err)
		}
		if err := s.step("made"); err != nil {
			return Topic{}, false, err
		}
		made := engine.Text(list, 2) == raw
		live, err := s.confirm(ctx, s.newTopic(address{t, name}, uid, c), made)
		if err != nil {
			return Topic{}, false, err
		}
		if live {
			s.keep(address{t, name}, uid, c)
			return c.topic(uid, Stats{Now: now}), made, nil
		}
		// A sweep took the reservation for that of a dead server.
		if err := s.bury(ctx, t, "", uid); err != nil {
			return Topic{}, false, err
		}
	}
	return Topic{}, false, engine.ErrUnavailable
}

// confirm makes a topic live whose keys are there, made just now or by whoever died since. It has the subscriptions that stem from
// patterns before anybody can publish to it. It reports false when the reservation of its name was given up.
func (s *Store) confirm(ctx context.Context, tp *topic, made bool) (bool, error) {
	known, err := tp.conformNew(ctx, made)
	if err != nil && !errors.Is(err, errGone) {
		return false, err
	}
	if err := s.step("conformed"); err != nil {
		return false, err
	}
	live, err := s.registry.Confirm(ctx, tp.at.tenant, tp.at.name, tp.uid)
	if err != nil || !live {
		return false, err
	}
	// A walk through the names that had come past this one by then has not seen it.
	if err := tp.conformSince(ctx, known); err != nil && !errors.Is(err, errGone) {
		return false, err
	}
	return true, nil
}

// Get returns a topic.
func (s *Store) Get(ctx context.Context, t tenants.ID, name string) (Topic, error) {
	var out Topic
	err := s.with(ctx, t, name, func(tp *topic) error {
		var err error
		_, out, err = tp.look(ctx)
		return err
	})
	return out, err
}

// Update changes a topic's settings by a function of them. It may be called more than once.
func (s *Store) Update(ctx context.Context, t tenants.ID, name string, cond Condition, f func(Settings) Settings) (Topic, error) {
	return s.change(ctx, t, name, cond, f)
}

func (s *Store) change(ctx context.Context, t tenants.ID, name string, cond Condition, f func(Settings) Settings) (Topic, error) {
	var out Topic
	err := s.with(ctx, t, name, func(tp *topic) error {
		for range maxStale {
			c, have, err := tp.look(ctx)
			if err != nil {
				return err
			}
			if !holds(cond, true, have.ETag) {
				return ErrPrecondition
			}
			want := f(c.Settings)
			if err := want.validateFor(name); err != nil {
				return err
			}
			if want.same(c.Settings) {
				out = have
				return nil
			}
			done, err := tp.replace(ctx, configureScript, c, want)
			if err != nil {
				return err
			}
			if done {
				_, out, err = tp.look(ctx)
				return err
			}
		}
		return engine.ErrUnavailable
	})
	return out, err
}

// replace writes settings in the place of those of c with a script, which may ask for more, and reports false when others have
// changed them since.
func (tp *topic) replace(ctx context.Context, script *engine.Script, c *config, want Settings, more ...any) (done bool, err error) {
	raw, err := want.encode(tp.at.name, c.created, tp.store.clock.Now())
	if err != nil {
		return false, err
	}
	reply, err := tp.store.engine.Do(ctx, script, tp.keys, append([]any{c.version, raw}, more...)...)
	if err != nil {
		return false, err
	}
	list, err := verdict(reply)
	return engine.Text(list, 0) == "ok", err
}

// Delete deletes a topic with its log and its subscriptions: mark it gone, take its name out of the registry, remove its
// keys.
func (s *Store) Delete(ctx context.Context, t tenants.ID, name string, cond Condition) error {
	return s.with(ctx, t, name, func(tp *topic) error {
		version := ""
		if cond.ETag != "" && cond.ETag != "*" {
			c, have, err := tp.look(ctx)
			if err != nil {
				return err
			}
			if !holds(cond, true, have.ETag) {
				return ErrPrecondition
			}
			version = c.version
		}
		reply, err := s.engine.Do(ctx, retireScript, tp.keys, version)
		if err != nil {
			return err
		}
		list, err := verdict(reply)
		if err != nil {
			return err
		}
		if engine.Text(list, 0) == "stale" {
			return ErrPrecondition
		}
		s.forget(tp)
		if err := s.step("retired"); err != nil {
			return err
		}
		return s.bury(ctx, t, name, tp.uid)
	})
}

// bury finishes the deletion of a topic, of which no name is given when it is out of the registry already. It can be
// repeated.
func (s *Store) bury(ctx context.Context, t tenants.ID, name, uid string) error {
	keys := topicKeys(t, uid)
	if _, err := s.engine.Do(ctx, retireScript, keys, ""); err != nil {
		return err
	}
	if name != "" {
		if err := s.registry.Unregister(ctx, t, name, uid); err != nil {
			return err
		}
		if err := s.step("unregistered"); err != nil {
			return err
		}
	}
	if err := s.DropSchedules(ctx, t, uid); err != nil {
		return err
	}
	if err := s.releaseAll(ctx, t, uid, keys); err != nil {
		return err
	}
	if _, err := s.engine.Do(ctx, eraseScript, keys); err != nil {
		return err
	}
	if err := s.storage.Forget(ctx, t, tenants.Holder(holderKind, uid)); err != nil {
		return err
	}
	if err := s.step("erased"); err != nil {
		return err
	}
	return s.registry.Forget(ctx, t, uid)
}

// giveUp gives the name back of a topic that was begun and has no keys. Whoever reserved it may make them just now: the name
// comes first, so that one of the two has his way.
func (s *Store) giveUp(ctx context.Context, t tenants.ID, n queues.Named) error {
	if err := s.step("not made"); err != nil {
		return err
	}
	if given, err := s.registry.GiveUp(ctx, t, n.Name, n.UID); err != nil || !given {
		return err
	}
	return s.bury(ctx, t, "", n.UID)
}

// List returns up to limit topics whose names begin with prefix and come after the name after, by name, and the name
// after which the next page goes on, or "".
func (s *Store) List(ctx context.Context, t tenants.ID, prefix, after string, limit int) ([]Topic, string, error) {
	names, err := s.registry.List(ctx, t, prefix, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(names) > limit {
		names = names[:limit]
		next = names[limit-1].Name
	}
	found := make([]*Topic, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range names {
		g.Go(func() error {
			tp, err := s.Get(gctx, t, names[i].Name)
			if errors.Is(err, ErrTopicNotFound) {
				return nil // deleted meanwhile
			}
			found[i] = &tp
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, "", err
	}
	list := make([]Topic, 0, len(found))
	for _, tp := range found {
		if tp != nil {
			list = append(list, *tp)
		}
	}
	return list, next, nil
}

// Names returns up to limit names of topics that begin with prefix and come after the name after, and the name after which
// the next page goes on, or "".
func (s *Store) Names(ctx context.Context, t tenants.ID, prefix, after string, limit int) ([]string, string, error) {
	return s.registry.Page(ctx, t, prefix, after, limit)
}

// Erase deletes at most so many topics of a tenant that is being deleted, and returns how many are left.
func (s *Store) Erase(ctx context.Context, t tenants.ID, most int) (left int64, err error) {
	return s.registry.Erase(ctx, t, most, func(ctx context.Context, n queues.Named) error {
		return s.bury(ctx, t, n.Name, n.UID)
	})
}

// sweepRate bounds a walk through all topics, in topics a second.
const sweepRate = 20

// Sweep walks a tenant's topics: it finishes creations and deletions that a crash left half done, and frees what is not
// kept any more of topics to which nobody publishes, and brings the index of schedules and the subscriptions by patterns up to date. It makes at most sweepRate calls a second.
func (s *Store) Sweep(ctx context.Context, t tenants.ID) error {
	if alive, err := s.engine.Beat(ctx); err == nil {
		s.noteAlive(alive)
	}
	if err := s.finish(ctx, t); err != nil {
		return err
	}
	found, err := s.beginSweep(ctx, t)
	if err != nil {
		return err
	}
	pace := time.NewTicker(time.Second / sweepRate)
	defer pace.Stop()
	for after := ""; ; {
		list, err := s.registry.List(ctx, t, "", after, 100)
		if err != nil {
			return err
		}
		for _, n := range list {
			after = n.Name
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-pace.C:
			}
			err := s.tidy(ctx, t, n.Name, found)
			if err == nil {
				err = s.ReindexSchedules(ctx, t, n.Name)
			}
			if err != nil && !errors.Is(err, ErrTopicNotFound) && !errors.Is(err, ErrDataLost) {
				return err
			}
		}
		if len(list) < 100 {
			return found.end(ctx, s, t)
		}
	}
}

// noteAlive keeps the numbers of living sessions in the form that trim.lua takes.
func (s *Store) noteAlive(alive []uint32) {
	list := ","
	slices.Sort(alive)
	for _, n := range alive {
		list += strconv.FormatUint(uint64(n), 10) + ","
	}
	s.alive.Store(&list)
}

// maxTidy bounds the calls by which one visit frees what a topic does not keep any more, a hundred messages each.
const maxTidy = 1000

func (s *Store) tidy(ctx context.Context, t tenants.ID, name string, found *sweeping) error {
	return s.with(ctx, t, name, func(tp *topic) error {
		c, _, err := tp.look(ctx)
		if err != nil {
			return err
		}
		for range maxTidy {
			reply, err := s.engine.Do(ctx, trimScript, tp.keys, c.Retention.Milliseconds(), Hold.Milliseconds(), dedupWindow.Milliseconds(), *s.alive.Load())
			if err != nil {
				return err
			}
			list, err := verdict(reply)
			if err != nil {
				return err
			}
			if engine.Number(list, 1) == 0 {
				break
			}
		}
		if err := tp.sweepSubscriptions(ctx); err != nil {
			return err
		}
		return found.visit(ctx, tp)
	})
}

// finish completes what was begun and not ended.
func (s *Store) finish(ctx context.Context, t tenants.ID) error {
	for cursor := "0"; ; {
		list, next, err := s.registry.Unfinished(ctx, t, cursor)
		if err != nil {
			return err
		}
		for _, n := range list {
			c, _, err := s.load(ctx, topicKeys(t, n.UID), nil)
			switch {
			case n.Name == "":
				err = s.bury(ctx, t, "", n.UID)
			case errors.Is(err, errGone):
				err = s.giveUp(ctx, t, n)
			case err == nil:
				_, err = s.confirm(ctx, s.newTopic(address{t, n.Name}, n.UID, c), false)
			}
			if err != nil {
				return err
			}
		}
		if cursor = next; cursor == "0" {
			return nil
		}
	}
}
