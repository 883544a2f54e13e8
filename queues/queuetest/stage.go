package queuetest

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Driver carries out the steps of a history: a store, or a client of a door that answers as the store does. What a door does not
// show, its driver looks up in the store, and what it cannot say, the driver has the store do.
type Driver interface {
	SendBatch(ctx context.Context, t tenants.ID, queue string, batch []queues.Outgoing, atomic bool) ([]queues.SendResult, error)
	Receive(ctx context.Context, t tenants.ID, queue string, opt queues.ReceiveOptions) ([]queues.Message, error)
	Settle(ctx context.Context, t tenants.ID, queue string, list []queues.Settlement) ([]queues.Settled, error)
	Unreceive(ctx context.Context, t tenants.ID, queue string, messages []queues.Message)
	DeleteMessage(ctx context.Context, t tenants.ID, queue string, id engine.ID) error
	DelayMessage(ctx context.Context, t tenants.ID, queue string, id engine.ID, due queues.Due) (time.Time, queues.State, error)
	Purge(ctx context.Context, t tenants.ID, queue string) (int64, error)
	Update(ctx context.Context, t tenants.ID, name string, cond queues.Condition, f func(queues.Settings) (queues.Settings, error)) (queues.Queue, error)
	Pause(ctx context.Context, t tenants.ID, name string, dir queues.Direction, reason string, cond queues.Condition) (queues.Queue, error)
	Resume(ctx context.Context, t tenants.ID, name string, dir queues.Direction, cond queues.Condition) (queues.Queue, error)
	Peek(ctx context.Context, t tenants.ID, queue string, opt queues.PeekOptions) (queues.Page, error)
	Search(ctx context.Context, t tenants.ID, queue string, opt queues.SearchOptions) (queues.Found, error)
	Message(ctx context.Context, t tenants.ID, queue string, id engine.ID) (queues.Message, error)
	Stats(ctx context.Context, t tenants.ID, queue string) (queues.Stats, error)
	Check(ctx context.Context, t tenants.ID, queue string) (queues.Report, error)
}

// Mild is a driver whose door may keep to itself that a lease is over, and says of no settlement more than whether it was done.
type Mild interface{ Mild() bool }

// Stage is where histories are played.
type Stage struct {
	Drivers []Driver // of one queue; each step is done by any of them
	Tenant  tenants.ID
	Clock   *clock.Fake // of all servers and of Redis
	Engine  *engine.Engine
	Foreign string  // a receipt handle of another queue
	Inside  *Inside // nil: what needs it does not happen
}

// Inside is what only the tests of package queues can see and do.
type Inside struct {
	Size     func(queues.Outgoing) int64 // bytes of the record of a message
	Carrying func(queue string) bool     // messages are on their way to the dead-letter queue
	Forget   func(driver int)            // a server forgets what it knows of the queues
}

// Play plays random histories on the machines that begin makes, at most so many; 0: as many as the command line says. The
// actions in often are drawn more often, once more for each time that they are named. end is called after each history.
func Play(t *testing.T, c *clock.Fake, most int, often []string, begin func(*rapid.T) rapid.StateMachine, end func(*rapid.T)) {
	t.Helper()
	began, steps, checks := time.Now(), 0, 0
	latest := c.Now() // of all histories so far
	rapid.Check(t, func(rt *rapid.T) {
		if checks >= most && most > 0 {
			return
		}
		checks++
		// Each history begins a day after all others, so that it goes the same way when it is played again.
		c.Set(latest.Add(24 * time.Hour))
		s := begin(rt)
		actions := rapid.StateMachineActions(s)
		for i, name := range often {
			actions[fmt.Sprint(i, " ", name)] = actions[name] // the first ones by name are drawn more often
		}
		check := actions[""]
		actions[""] = func(rt *rapid.T) {
			steps++
			if now := c.Now(); now.After(latest) {
				latest = now
			}
			check(rt)
		}
		rt.Repeat(actions)
		end(rt)
	})
	t.Logf("%d histories, %d steps in %s", checks, steps, time.Since(began).Round(time.Millisecond))
}

// Flags sets how many histories are played at most and how many steps each has about, unless the command line says how many: then
// it returns true. Call it before any test. A failure prints the seed that repeats it; files beside the source are not wanted.
func Flags(checks, steps int) (given bool) {
	flag.Parse()
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", strconv.Itoa(checks))
		_ = flag.Set("rapid.steps", strconv.Itoa(steps))
	}
	_ = flag.Set("rapid.nofailfile", "true")
	return given
}
