package tenants

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// moreStored bounds what a holder gets beyond what it asks for, in bytes: so many it may fill without asking again.
	moreStored = 4 << 20
	// countAtOnce bounds the holders that one count asks at the same time.
	countAtOnce = 16
	// countRest is the least time between two counts of a tenant on one server, and countShare how many times as long as a
	// count the server rests after it: a tenant that is full costs no more than a twentieth of what it could.
	countRest  = time.Second
	countShare = 20
	// countPatience is how long a call waits for a count, from its start. What is asked for afterwards is judged by what is
	// known by then.
	countPatience = 2 * time.Second
	// countTime bounds a count.
	countTime = 5 * time.Minute
	// settleTries bounds how often a count asks one holder that is filled at the same time.
	settleTries = 3
)

// ErrStorageFull says that a tenant has stored as much as it may.
var ErrStorageFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full", RetryAfter: time.Second,
	Message: "The tenant has stored as many bytes as it may.",
	Fix:     "Receive and acknowledge messages, purge or delete queues that nobody needs, or ask the operator for a higher limit stored_bytes."}

// IsStorageFull reports whether an error is ErrStorageFull: not another one of a storage that is full, which has the same code.
func IsStorageFull(err error) bool {
	e, ok := errors.AsType[*errs.Error](err)
	return ok && e.Code == ErrStorageFull.Code && e.Usage != nil && e.Usage.Quota == LimitStored.String()
}

// ErrNoHolder says that what had a grant is gone.
var ErrNoHolder = errors.New("there is no such holder")

// Holding is what a holder says of itself, in bytes.
type Holding struct {
	Grant  int64 // what it may fill in all without asking
	Number int64 // that of the grant's last change
	Used   int64 // what it has stored
}

// ReadHolding reads what a script says from index i of its answer on.
func ReadHolding(list []any, i int) Holding {
	return Holding{Grant: engine.Number(list, i), Number: engine.Number(list, i+1), Used: engine.Number(list, i+2)}
}

// AskHolding asks a holder, by a keeper's script and the holder's keys, as Keeper.Holding does.
func AskHolding(ctx context.Context, e *engine.Engine, script *engine.Script, keys []string, trim bool, above int64) (Holding, error) {
	flag := 0
	if trim {
		flag = 1
	}
	reply, err := e.Do(ctx, script, keys, flag, above)
	if err != nil {
		return Holding{}, err
	}
	list, _ := reply.([]any)
	if engine.Text(list, 0) != "ok" {
		return Holding{}, ErrNoHolder
	}
	return ReadHolding(list, 1), nil
}

// Keeper has holders of one kind, such as queues.
type Keeper interface {
	// Holders calls f for each holder of a tenant, by its uid.
	Holders(ctx context.Context, id ID, f func(uid string) error) error
	// Holding returns what a holder has. With trim its grant becomes 0, with a number above the given one. Of one that is
	// gone it is ErrNoHolder.
	Holding(ctx context.Context, id ID, uid string, trim bool, above int64) (Holding, error)
}

// Storage keeps what tenants store below their limit `stored_bytes`, without a word to Redis for a message.
//
// What a tenant may store is given out in grants, of which queues and topics have one each: their scripts let pass what
// fits and need no other key. Who lacks something draws a larger grant from what the tenant has left. When nothing is left
// the holders are counted, which takes their grants from them, so that only what they have stored counts; a tenant that is really full is refused.
type Storage struct {
	store   *Store
	keepers map[byte]Keeper
	stocks  sync.Map // ID → *stock, of tenants with a limit
}

// stock is what a server knows of what a tenant has stored.
type stock struct {
	limit atomic.Int64 // under which all holders are counted, as far as this server knows

	mu     sync.Mutex
	done   chan struct{} // of the count that is under way; nil: there is none
	began  time.Time     // the last count
	rested time.Duration // until when there is no other one but after a change of the limit
}

// NewStorage returns the storage of the tenants in store.
func NewStorage(store *Store) *Storage {
	s := &Storage{store: store, keepers: map[byte]Keeper{}}
	store.OnDelete(func(_ context.Context, id ID) error {
		s.stocks.Delete(id)
		return nil
	})
	return s
}

// Register adds the holders of one kind, whose letter begins their names. Register all kinds before the storage is used.
func (s *Storage) Register(kind byte, k Keeper) {
	if s != nil {
		s.keepers[kind] = k
	}
}

// Holder names the holder of a kind with a uid.
func Holder(kind byte, uid string) string { return string(kind) + "/" + uid }

// Most returns how many bytes a tenant may store, 0 for any number. After a change of that it has all holders counted first.
func (s *Storage) Most(ctx context.Context, id ID, t *Terms) int64 {
	most := t.Limits[LimitStored]
	if s == nil || most == 0 {
		return 0
	}
	k := s.stock(id)
	for try := 0; k.limit.Load() != most && try < 2; try++ { // it may have waited for a count of another kind
		s.wait(ctx, k, k.begin(func(ctx context.Context) error { return s.adopt(ctx, id, k, most) }))
	}
	return most
}

func (s *Storage) stock(id ID) *stock {
	v, ok := s.stocks.Load(id)
	if !ok {
		v, _ = s.stocks.LoadOrStore(id, &stock{})
	}
	return v.(*stock)
}

// Drawing says what a holder gets of a tenant that has less left than it wants.
type Drawing string

// The kinds of drawing.
const (
	DrawAll  Drawing = "all"  // what it wants all the same: it comes from another holder, which gives back as much
	DrawSome Drawing = "some" // what is left
	DrawNone Drawing = ""     // nothing
)

// Grant is what a holder is given, to write down.
type Grant struct {
	Bytes  int64 // what it may fill in all without asking
	Number int64 // that of its last change; 0: nothing was given
}

// Draw gives a holder of a tenant that may store `most` bytes a grant of `want` bytes or more. For a tenant that has less
// left the error is ErrStorageFull, also when it gives some.
func (s *Storage) Draw(ctx context.Context, id ID, most int64, holder string, has Holding, want int64, how Drawing) (Grant, error) {
	first := how
	if how == DrawSome {
		first = DrawNone // for now: a count may find more
	}
	got, err := s.draw(ctx, id, holder, has, want, most, first)
	if k := s.stock(id); err == nil && got[0] == "full" && (s.recounted(ctx, id, k, true) || how != first) {
		got, err = s.draw(ctx, id, holder, has, want, most, how)
	}
	switch {
	case err != nil:
		return Grant{}, err
	case got[0] == "gone":
		return Grant{}, ErrNotFound
	case got[0] == "ok":
		return Grant{count(got[1]), count(got[2])}, nil
	}
	full := LimitStored.Reached(ErrStorageFull, most, count(got[1]))
	if len(got) < 4 {
		return Grant{}, full
	}
	return Grant{count(got[2]), count(got[3])}, full
}

func (s *Storage) draw(ctx context.Context, id ID, holder string, has Holding, want, most int64, how Drawing) ([]string, error) {
	return s.store.run(ctx, drawScript, storedKeys(id), holder, has.Grant, has.Number, has.Used, want, most, moreStored, string(how))
}

// Told takes over what a holder says of itself after it has given something back.
func (s *Storage) Told(ctx context.Context, id ID, holder string, has Holding) error {
	_, err := s.store.run(ctx, heldScript, storedKeys(id), holder, has.Grant, has.Number, has.Used)
	return err
}

// Forget takes back what a holder had that is gone.
func (s *Storage) Forget(ctx context.Context, id ID, holder string) error {
	if s == nil {
		return nil
	}
	_, err := s.store.run(ctx, heldScript, storedKeys(id), holder, "", 0, 0)
	return err
}

// Used returns how many bytes a tenant with a limit has stored, as it was at most a few seconds ago.
func (s *Storage) Used(ctx context.Context, id ID) (int64, error) {
	s.recounted(ctx, id, s.stock(id), false)
	got, err := s.store.run(ctx, storedScript, storedKeys(id)[1:])
	if err != nil {
		return 0, err
	}
	return count(got[1]), nil
}

// recounted has the holders of a tenant counted that have grants, and reports false when that was done just now.
func (s *Storage) recounted(ctx context.Context, id ID, k *stock, trim bool) bool {
	k.mu.Lock()
	resting := s.store.terms.now() < k.rested
	k.mu.Unlock()
	if resting {
		return false
	}
	s.wait(ctx, k, k.begin(func(ctx context.Context) error {
		began := time.Now()
		err := s.recount(ctx, id, trim)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.rested = s.store.terms.now() + max(countRest, countShare*time.Since(began))
		return err
	}))
	return true
}

// begin starts a count in the background, or joins the one that is under way.
func (k *stock) begin(work func(context.Context) error) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done != nil {
		return k.done
	}
	done := make(chan struct{})
	k.done, k.began = done, time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), countTime)
		defer cancel()
		_ = work(ctx) // the engine has logged it; who asks next begins anew
		k.mu.Lock()
		defer k.mu.Unlock()
		k.done = nil
		close(done)
	}()
	return done
}

// wait waits for a count, for as long as one has patience.
func (s *Storage) wait(ctx context.Context, k *stock, done <-chan struct{}) {
	k.mu.Lock()
	patience := countPatience - time.Since(k.began)
	k.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// adopt sees to it that all holders are counted under a limit. Before there was one nobody counted them, and under a higher
// one they have larger grants than may be filled now.
func (s *Storage) adopt(ctx context.Context, id ID, k *stock, most int64) error {
	got, err := s.store.run(ctx, storedScript, storedKeys(id)[1:])
	if err != nil {
		return err
	}
	limit := strconv.FormatInt(most, 10)
	if got[2] != limit {
		if err := s.countAll(ctx, id, countAtOnce); err != nil {
			return err
		}
		if _, err := s.store.run(ctx, countedScript, storedKeys(id), limit); err != nil {
			return err
		}
	}
	k.limit.Store(most)
	return nil
}

// Sweep counts all that a tenant has stored, to take in what a crash or a lost part of Redis has left uncounted, or forgets
// what was counted of a tenant without a limit.
func (s *Storage) Sweep(ctx context.Context, id ID) error {
	t, err := s.store.Terms(ctx, id)
	if err != nil {
		return err
	}
	if t.Limits[LimitStored] == 0 {
		s.stocks.Delete(id)
		_, err := s.store.run(ctx, countedScript, storedKeys(id), "")
		return err
	}
	if err := s.countAll(ctx, id, 1); err != nil {
		return err
	}
	return s.recount(ctx, id, true) // also those that are gone
}

// countAll counts all holders of a tenant, so many at once.
func (s *Storage) countAll(ctx context.Context, id ID, atOnce int) error {
	for kind, keeper := range s.keepers {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(atOnce)
		err := keeper.Holders(gctx, id, func(uid string) error {
			g.Go(func() error { return s.settle(gctx, id, Holder(kind, uid), true) })
			return gctx.Err()
		})
		if err := errors.Join(g.Wait(), err); err != nil {
			return fmt.Errorf("count what tenant %s has stored: %w", id, err)
		}
	}
	return nil
}

// recount asks those holders of a tenant that have grants what they have stored, and with trim takes back what they have not
// filled.
func (s *Storage) recount(ctx context.Context, id ID, trim bool) error {
	for cursor := "0"; ; {
		page, err := s.store.run(ctx, holdersScript, storedKeys(id)[1:], cursor)
		if err != nil {
			return err
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(countAtOnce)
		for _, holder := range page[1:] {
			g.Go(func() error { return s.settle(gctx, id, holder, trim) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if cursor = page[0]; cursor == "0" {
			return nil
		}
	}
}

// settle asks one holder what it has, and writes that down.
func (s *Storage) settle(ctx context.Context, id ID, holder string, trim bool) error {
	keeper := s.keepers[holder[0]]
	if keeper == nil {
		return nil // of a newer server
	}
	above := int64(0)
	for range settleTries {
		has, err := keeper.Holding(ctx, id, holder[2:], trim, above)
		if errors.Is(err, ErrNoHolder) {
			return s.Forget(ctx, id, holder)
		}
		if err != nil {
			return err
		}
		got, err := s.store.run(ctx, heldScript, storedKeys(id), holder, has.Grant, has.Number, has.Used)
		if err != nil || got[0] != "late" || !trim {
			return err
		}
		above = count(got[1])
	}
	return nil // it draws all the time; the next count finds it
}

// count reads a number that a script has written.
func count(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func storedKeys(id ID) []string { return []string{recordKey(id), storedKey(id)} }
