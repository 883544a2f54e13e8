// Package monitor remembers what queues did: how many messages they held and handled at each time, as series that go back
// a week, and the newest counts of all queues of a tenant together, by which lists are sorted and sums are shown.
//
// Each server looks every ten seconds at the queues for which it had calls, so a queue that nobody uses costs nothing, and
// no call of a queue does anything for it.
package monitor

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

//go:embed lua
var files embed.FS

// The scripts, named like their files in lua/. docs/redis.md says what the keys hold.
var (
	appendScript = engine.MustLoad(files, "append")
	packScript   = engine.MustLoad(files, "pack")
	seriesScript = engine.MustLoad(files, "series")
	tallyScript  = engine.MustLoad(files, "tally")
	boardScript  = engine.MustLoad(files, "board")
	oldestScript = engine.MustLoad(files, "oldest")
	dropScript   = engine.MustLoad(files, "drop")
)

// Step is the span between two samples of a queue that is in use.
const Step = 10 * time.Second

// Config is what a Monitor needs.
type Config struct {
	Engine *engine.Engine
	Queues *queues.Store
	// Troubles says what went wrong for tenants: tenants.Store.Troubles. Default: nothing did.
	Troubles func(context.Context, ...tenants.ID) (map[tenants.ID]tenants.Trouble, error)
	Clock    clock.Clock  // default: the machine's
	Logger   *slog.Logger // default: nothing
}

// Monitor takes samples of the queues of one server, and reads those of all servers.
type Monitor struct {
	engine   *engine.Engine
	queues   *queues.Store
	troubles func(context.Context, ...tenants.ID) (map[tenants.ID]tenants.Trouble, error)
	clock    clock.Clock
	logger   *slog.Logger

	mu      sync.Mutex // of Record
	watched map[queues.Ref]*watch
	last    time.Time // when active queues were asked for

	snapshots sync.Map // tenants.ID → *snapshot
}

// New returns a monitor. It takes samples while Run runs.
func New(c Config) *Monitor {
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Troubles == nil {
		c.Troubles = func(context.Context, ...tenants.ID) (map[tenants.ID]tenants.Trouble, error) { return nil, nil }
	}
	return &Monitor{engine: c.Engine, queues: c.Queues, troubles: c.Troubles, clock: c.Clock, logger: c.Logger, watched: map[queues.Ref]*watch{}, last: c.Clock.Now()}
}

// Run takes samples until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	tick := time.NewTicker(Step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// While the storage is full the series have a gap; that it is full is said elsewhere.
		if err := m.Record(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrFull) {
			m.logger.Warn("some samples for the series of queues could not be taken", "error", err.Error())
		}
	}
}

// board is the keys of the newest samples of a tenant's queues, and of their sums, and what says whether the tenant is there.
func board(t tenants.ID) []string {
	return []string{engine.TenantKey(t.String(), "board"), engine.TenantKey(t.String(), "series"), engine.TenantKey(t.String(), "tenant")}
}

// fleet is the same for all tenants.
func fleet() []string {
	return []string{engine.SystemKey("board"), engine.SystemKey("series"), engine.SystemKey("tenant-ids")}
}

// Forget removes what is remembered of a tenant that is deleted.
func (m *Monitor) Forget(ctx context.Context, t tenants.ID) error {
	m.snapshots.Delete(t)
	if _, err := m.engine.Do(ctx, dropScript, board(t)[:2]); err != nil {
		return err
	}
	_, err := m.tally(ctx, fleet(), m.now(), []newest{{name: t.String(), uid: t.String()}})
	return err
}

// Sweep takes queues of a tenant off its board that are gone.
func (m *Monitor) Sweep(ctx context.Context, t tenants.ID) error {
	on, err := m.read(ctx, board(t)[0])
	if err != nil || len(on) == 0 {
		return err
	}
	for after := ""; ; {
		refs, next, err := m.queues.Refs(ctx, t, after, 1000)
		if err != nil {
			return err
		}
		for _, r := range refs {
			if on[r.Name].uid == r.UID {
				delete(on, r.Name)
			}
		}
		if after = next; next == "" {
			break
		}
	}
	var gone []newest
	for name, e := range on {
		gone = append(gone, newest{name: name, uid: e.uid})
	}
	_, err = m.tally(ctx, board(t), m.now(), gone)
	return err
}

// now is the number of the span in which this instant lies.
func (m *Monitor) now() int64 { return spanOf(m.clock.Now()) }

func spanOf(at time.Time) int64 { return at.UnixMilli() / Step.Milliseconds() }

func startOf(span int64) time.Time { return time.UnixMilli(span * Step.Milliseconds()).UTC() }
