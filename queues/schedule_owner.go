package queues

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Schedules are the schedules of queues, or of what else stands in a registry and takes messages: of their owners.
type Schedules struct {
	engine *engine.Engine
	owners ScheduleOwners
	terms  func(context.Context, tenants.ID) (*tenants.Terms, error)
	step   func(done string) error
	clock  clock.Clock
	logger *slog.Logger
	kind   string // what an owner is
	part   string // of the key of the index, and of the lease of who looks at it
	counts scheduleCounts
}

// SchedulesConfig is what Schedules need.
type SchedulesConfig struct {
	Engine *engine.Engine
	Owners ScheduleOwners
	Kind   string // what an owner is, in words: "queue"
	Index  string // name of the index that says which are due; each kind has its own
	Terms  func(context.Context, tenants.ID) (*tenants.Terms, error)
	Step   func(done string) error // called between the steps of what goes over several slots; for tests
	Clock  clock.Clock
	Logger *slog.Logger
}

// ScheduleOwners are where schedules belong to and send to. A schedule lies in the slot of its owner.
type ScheduleOwners interface {
	// HeadKey returns the key of the owner with a uid that tells whether it is there: while its field "v" is, and not "x".
	HeadKey(t tenants.ID, uid string) string
	// WithOwner calls f with the owner of a name, and once more when f says ErrOwnerGone and there is one again. The error is of
	// the kind errs.NotFound when there is none.
	WithOwner(ctx context.Context, t tenants.ID, name string, f func(ScheduleOwner) error) error
}

// ScheduleOwner is one that is there. Send is as SendBatch.
type ScheduleOwner struct {
	Tenant tenants.ID
	Name   string
	UID    string
	// Rules are the settings, as they are now, of a queue that takes the messages that the owner does.
	Rules func(context.Context) (Settings, error)
	Send  func(context.Context, []Outgoing) ([]SendResult, error)
}

// ErrOwnerGone says that the owner of schedules was deleted, or its name now means another one.
var ErrOwnerGone = errGone

// NewSchedules returns the schedules of owners of one kind.
func NewSchedules(c SchedulesConfig) *Schedules {
	return &Schedules{engine: c.Engine, owners: c.Owners, kind: c.Kind, part: c.Index, terms: c.Terms, step: c.Step, clock: c.Clock, logger: c.Logger}
}

// keys are the keys of an owner's schedules, as the scripts declare them.
func (s *Schedules) keys(t tenants.ID, uid string) []string {
	return []string{s.owners.HeadKey(t, uid), schedulesKey(t, uid)}
}

// entryOf returns the entry of a schedule of an owner.
func (o *ScheduleOwner) entryOf(r *scheduleRecord) entry {
	return entry{o.Tenant, o.UID, r.name, r.state.Life}
}

func (s *Schedules) notFound(owner, name string) error {
	e := *ErrScheduleNotFound
	e.Message = fmt.Sprintf("The %s %q has no schedule %q.", s.kind, owner, name)
	e.Fix = fmt.Sprintf("Create it: PUT /v1/%ss/{%s}/schedules/{schedule}.", s.kind, s.kind)
	return &e
}

// quota is the error of an owner that has as many schedules as it may have.
func (s *Schedules) quota(most int64) error {
	e := *ErrScheduleQuota
	e.Message = fmt.Sprintf("The %s has as many schedules as it may have.", s.kind)
	e.Fix = fmt.Sprintf("Delete schedules that nobody needs, or put some on another %s.", s.kind)
	return tenants.LimitSchedules.Reached(&e, most, most)
}

// queueOwners are queues as the owners of schedules.
type queueOwners struct{ *Store }

// HeadKey implements ScheduleOwners.
func (q queueOwners) HeadKey(t tenants.ID, uid string) string { return HeadKey(t, uid) }

// WithOwner implements ScheduleOwners.
func (q queueOwners) WithOwner(ctx context.Context, t tenants.ID, name string, f func(ScheduleOwner) error) error {
	return q.with(ctx, t, name, func(d *desk) error {
		return f(ScheduleOwner{Tenant: t, Name: d.at.name, UID: d.uid,
			Rules: func(ctx context.Context) (Settings, error) {
				c, err := q.load(ctx, t, d.uid)
				if err != nil {
					return Settings{}, err
				}
				d.config.Store(c)
				return c.Settings, nil
			},
			Send: func(ctx context.Context, batch []Outgoing) ([]SendResult, error) {
				return d.sendBatch(callerOf(ctx), batch, false)
			},
		})
	})
}
