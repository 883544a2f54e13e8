// Package alarms says when something is wrong: it compares what queues, webhooks and limits of a tenant do with thresholds,
// remembers the state of each comparison, and when that changes publishes a message to a topic and writes to members.
//
// One server at a time looks once a minute at all alarms. It reads what package monitor has noted, so an alarm costs no call
// of a queue anything, and ten alarms of a tenant cost Redis what one does.
package alarms

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/mail"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

//go:embed lua
var files embed.FS

// The scripts, named like their files in lua/. docs/redis.md says what the keys hold.
var (
	readScript    = engine.MustLoad(files, "read")
	putScript     = engine.MustLoad(files, "put")
	saveScript    = engine.MustLoad(files, "save")
	dropScript    = engine.MustLoad(files, "drop")
	historyScript = engine.MustLoad(files, "history")
	forgetScript  = engine.MustLoad(files, "forget")
	enterScript   = engine.MustLoad(files, "enter")
	leaveScript   = engine.MustLoad(files, "leave")
	indexScript   = engine.MustLoad(files, "index")
)

const (
	// MaxAlarms bounds the alarms of a tenant: they are read, judged and noted in one call.
	MaxAlarms = 100
	// Kept is how many changes of its state an alarm remembers.
	Kept = 100
)

// State is what an alarm has found.
type State string

// The states.
const (
	OK      State = "ok"
	Alarm   State = "alarm"
	Unknown State = "no_data" // nothing was looked at yet, or what it looks at is not there
)

// States are all of them.
var States = []State{OK, Alarm, Unknown}

// The errors of alarms.
var (
	ErrNotFound     = &errs.Error{Kind: errs.NotFound, Code: "alarm_not_found", Message: "There is no such alarm.", Fix: "Create it: PUT /v1/alarms/{alarm}."}
	ErrPrecondition = &errs.Error{Kind: errs.Precondition, Code: "precondition_failed",
		Message: "The alarm is not in the state that the request's If-Match or If-None-Match asked for.",
		Fix:     "Read the alarm again, look at its ETag, and repeat the change."}
	ErrQuota = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded", Message: "The tenant has as many alarms as it may have.",
		Fix:   "Delete alarms that nobody needs, or let one look at several queues: its target may be a pattern.",
		Usage: &errs.Usage{Quota: "alarms", Limit: MaxAlarms, Used: MaxAlarms}}
	errBusy = &errs.Error{Kind: errs.Conflict, Code: "alarm_busy", Message: "The alarm was changed by others again and again. Nothing was changed.", Fix: "Try again."}
)

// Config is what a Store needs.
type Config struct {
	Engine  *engine.Engine
	Monitor *monitor.Monitor
	Topics  *topics.Store
	// Webhook says how a webhook fares. Default: there are none.
	Webhook func(context.Context, topics.Way) (webhook.Status, error)
	Storage *tenants.Storage // nil: nobody says how much is stored
	// Mail hands letters in. nil: this server sends none.
	Mail *mail.Sender
	// Members returns the name of a tenant, and the addresses of its members that may get letters. Default: it has none.
	Members func(context.Context, tenants.ID) (tenant string, emails []string, err error)
	// Terms says what holds for a tenant. Default: nothing does.
	Terms  func(context.Context, tenants.ID) (*tenants.Terms, error)
	Clock  clock.Clock  // default: the machine's
	Logger *slog.Logger // default: nothing
}

// Store is the alarms of all tenants.
type Store struct {
	Config
	last atomic.Pointer[Summary]
	told atomic.Int64
	lost atomic.Int64
	post post
	step func() error // called between a change and telling of it; for tests
}

// New returns the store. Alarms are looked at while Run runs.
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
	if c.Members == nil {
		c.Members = func(context.Context, tenants.ID) (string, []string, error) { return "", nil, nil }
	}
	return &Store{Config: c, post: post{hours: map[tenants.ID]*hour{}}, step: func() error { return nil }}
}

const (
	// minute is how often alarms are looked at.
	minute = time.Minute
	// lease is for how long a server looks at them alone. Should it die, another one goes on when that is over.
	lease = 90 * time.Second
	// ticks is how often a server asks its clock whether the next minute has begun. It asks nobody else.
	ticks = 2 * time.Second
)

// Run looks at all alarms once a minute, while no other server does, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(ticks)
	defer tick.Stop()
	last := int64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := s.Clock.Now().Unix() / int64(minute.Seconds())
		if now == last {
			continue
		}
		mine, err := s.Engine.Lease(ctx, "alarms", lease)
		if err != nil {
			continue // and asks again at the next tick
		}
		last = now
		if !mine {
			s.last.Store(nil)
			continue
		}
		if err := s.Evaluate(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Warn("some alarms could not be looked at", "error", err.Error())
		}
	}
}

// Summary is what the last look of this server at all alarms found.
type Summary struct {
	States map[State]int64
	// Active are the alarms in state Alarm of the tenants that have any, of at most 100 of these.
	Active map[tenants.ID]int64
}

// Last returns what this server found when it last looked at all alarms; nothing when another one does that.
func (s *Store) Last() Summary {
	if last := s.last.Load(); last != nil {
		return *last
	}
	return Summary{}
}

// Told returns how many messages about alarms this server has published, and how many it gave up.
func (s *Store) Told() (published, failed int64) { return s.told.Load(), s.lost.Load() }

// Forget removes what is remembered of a tenant that is deleted.
func (s *Store) Forget(ctx context.Context, t tenants.ID) error {
	if _, err := s.Engine.Do(ctx, forgetScript, keys(t)); err != nil {
		return err
	}
	_, err := s.Engine.Do(ctx, leaveScript, index(), t.String(), "")
	return err
}

// keys are the alarms of a tenant, their marks and their log.
func keys(t tenants.ID) []string {
	return []string{engine.TenantKey(t.String(), "alarms"), engine.TenantKey(t.String(), "alarm-marks"), engine.TenantKey(t.String(), "alarm-log")}
}

func index() []string { return []string{engine.SystemKey("alarm-tenants")} }

func notFound(name string) error {
	e := *ErrNotFound
	e.Message = fmt.Sprintf("There is no alarm %q.", name)
	return &e
}
