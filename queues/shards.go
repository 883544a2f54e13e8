package queues

import (
	"cmp"
	"context"
	"hash/fnv"
	"math/rand/v2"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// A standard queue may be spread over several hash slots. Each of its shards is a queue of its own as far as the scripts
// know, with all the keys of one. The first shard has the queue's uid, and its settings are those that count: they say how
// many shards there are. What must happen to all is begun at the first (settings, deletion) and ended there (removing the
// keys), so whoever finds it half done knows it from the first and finishes it.

// ErrShardsFixed refuses another number of shards than a queue was made with.
var ErrShardsFixed = &errs.Error{Kind: errs.Conflict, Code: "shards_fixed",
	Message: "The number of a queue's shards is settled when it is made.",
	Fix:     "Leave shards out, or make another queue and move the messages there: POST /v1/queues/{queue}/redrive with {\"to\":\"orders-2\"}."}

// ErrSharded refuses what a queue with several shards does not have.
var ErrSharded = &errs.Error{Kind: errs.Invalid, Code: "queue_has_shards",
	Message: "There is no tail of a queue with several shards: its messages have no common order.",
	Fix:     "Look at its messages with GET /v1/queues/{queue}/messages, or consume them."}

// atOnce bounds the shards that one call asks at the same time.
const atOnce = 16

// shardUID names the keys of shard k of n. Behind the queue's uid and k stands the first number with which the shards' slots
// are about equally far from each other, so that nodes with equal ranges of slots get equal numbers of shards: in about one
// of a hundred queues one more or less, where a shard is near the end of a range.
func shardUID(uid string, k, n int) string {
	if k == 0 {
		return uid
	}
	want, near := (engine.Slot(uid)+k*engine.Slots/n)%engine.Slots, engine.Slots/n/32
	name := append([]byte(uid), '.')
	name = append(strconv.AppendInt(name, int64(k), 10), '.')
	for i := int64(0); ; i++ {
		candidate := string(strconv.AppendInt(name, i, 10))
		if away := (engine.Slot(candidate) - want + engine.Slots) % engine.Slots; away <= near || engine.Slots-away <= near {
			return candidate
		}
	}
}

// first returns the desk that stands for the queue.
func (d *desk) first() *desk {
	if d.front != nil {
		return d.front
	}
	return d
}

// all returns the desks of all shards.
func (d *desk) all() []*desk {
	if d.shards != nil {
		return d.shards
	}
	return []*desk{d}
}

// of returns the desk of the shard that has the message with the given id. A message that came from another queue has the
// id that it had there.
func (d *desk) of(id engine.ID) *desk {
	if d.shards == nil {
		return d
	}
	return d.shards[id.Shard()%len(d.shards)]
}

// pick returns the shard for a new message: all with one idempotency key go to one shard, and so do those of one group.
func (d *desk) pick(key, group string) int {
	if d.shards == nil {
		return 0
	}
	if key = cmp.Or(key, group); key == "" {
		return rand.IntN(len(d.shards))
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum64() % uint64(len(d.shards)))
}

// learn keeps settings that a shard has answered. No shard has later ones than the first.
func (d *desk) learn(c *config) {
	d.config.Store(c)
	if f := d.front; f != nil && compareNumbers(f.config.Load().version, c.version) < 0 {
		f.config.Store(c)
	}
}

// keepShards returns the settings with the number of shards that the queue has, and refuses another one.
func (s Settings) keepShards(have int) (Settings, error) {
	if s.Shards != 0 && s.Shards != have {
		return s, ErrShardsFixed
	}
	s.Shards = have
	return s, s.Validate()
}

// makeRest makes what a queue has besides the keys of its first shard.
func (s *Store) makeRest(ctx context.Context, t tenants.ID, uid string, c *config) error {
	if c.TraceRetention > 0 {
		if err := s.makeTimelines(ctx, t, uid, c.Shards); err != nil {
			return err
		}
	}
	return s.makeShards(ctx, t, uid, c)
}

// makeShards makes the keys of the shards behind the first, which is there. What is there already stays as it is.
func (s *Store) makeShards(ctx context.Context, t tenants.ID, uid string, c *config) error {
	raw, err := encodeSettings(c.name, c.created, c.updated, c.Settings, c.paused)
	if err != nil {
		return err
	}
	for k := 1; k < c.Shards; k++ {
		args := append([]any{raw, kind(c.name)}, c.head()...)
		if _, err := s.engine.Do(ctx, initScript, queueKeys(t, shardUID(uid, k, c.Shards)), args...); err != nil {
			return err
		}
		if err := s.step("shard made"); err != nil {
			return err
		}
	}
	return nil
}

// level gives the shards behind the first its settings, where they have older ones. It is also how a server makes sure that
// they are all there.
func (s *Store) level(ctx context.Context, t tenants.ID, uid string, c *config) error {
	if c.Shards < 2 {
		return nil
	}
	raw, err := encodeSettings(c.name, c.created, c.updated, c.Settings, c.paused)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for k := 1; k < c.Shards; k++ {
		g.Go(func() error {
			head := queueKeys(t, shardUID(uid, k, c.Shards))[:1]
			reply, err := s.engine.Do(gctx, followScript, head, append([]any{c.version, raw}, c.head()...)...)
			if err != nil {
				return err
			}
			list, _ := reply.([]any)
			switch engine.Text(list, 0) {
			case "ok":
				return nil
			case "gone":
				return errRetired
			case "absent":
				return errGone
			}
			return unexpected(reply)
		})
	}
	return g.Wait()
}

// relevel is level for a queue of which this server knows the name.
func (s *Store) relevel(ctx context.Context, t tenants.ID, queue string) error {
	return s.with(ctx, t, queue, func(d *desk) error {
		if d.shards == nil {
			return nil
		}
		c, err := s.load(ctx, t, d.uid)
		if err != nil {
			return err
		}
		return s.level(ctx, t, d.uid, c)
	})
}

// partly is what to say of a change that the first shard has and others may not have yet.
func partly(err error) error {
	if err == nil {
		return nil
	}
	return engine.ErrUnknown.Because(err)
}

// others returns the uids of the shards behind the first, which may be retired. None: there is one, or its keys are gone.
func (s *Store) others(ctx context.Context, t tenants.ID, uid string) ([]string, error) {
	reply, err := s.engine.Do(ctx, settingsScript, queueKeys(t, uid)[:1])
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	if engine.Text(list, 0) == "absent" {
		return nil, nil
	}
	c, err := decodeConfig("", engine.Text(list, len(list)-1))
	if err != nil {
		return nil, engine.ErrBroken.Because(err)
	}
	var uids []string
	for k := 1; k < c.Shards; k++ {
		uids = append(uids, shardUID(uid, k, c.Shards))
	}
	return uids, nil
}

// retireShards closes the shards behind the first, which is retired.
func (s *Store) retireShards(ctx context.Context, t tenants.ID, uid string) error {
	uids, err := s.others(ctx, t, uid)
	if err != nil {
		return err
	}
	for _, other := range uids {
		if _, err := s.engine.Do(ctx, retireScript, queueKeys(t, other)[:1], ""); err != nil {
			return err
		}
		if err := s.step("shard retired"); err != nil {
			return err
		}
	}
	return nil
}

// erase removes the keys of a retired queue, those of its first shard last.
func (s *Store) erase(ctx context.Context, t tenants.ID, uid string) error {
	uids, err := s.others(ctx, t, uid)
	if err != nil {
		return err
	}
	for _, one := range append(uids, uid) {
		if _, err := s.engine.Do(ctx, eraseScript, queueKeys(t, one)); err != nil {
			return err
		}
		if err := s.dropTimelines(ctx, t, one, 1); err != nil {
			return err
		}
		if err := s.storage.Forget(ctx, t, tenants.Holder(holderKind, one)); err != nil {
			return err
		}
		if one != uid {
			if err := s.step("shard erased"); err != nil {
				return err
			}
		}
	}
	_, err = s.engine.Do(ctx, seriesDropScript, []string{SeriesKey(t, uid)}) // last: nothing is added once the head is gone
	return err
}
