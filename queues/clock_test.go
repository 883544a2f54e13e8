package queues_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// shifted is the machine's clock, off by what a test says. Its timers run in real time.
type shifted struct {
	clock.Real
	by atomic.Int64
}

func (c *shifted) Now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

// skies is a Redis whose clock is right until the test steps it, and servers with a clock each.
type skies struct {
	redis   *redistest.Server
	steps   *redistest.SteppedClock
	step    time.Duration // by how much the clock of Redis is wrong
	passed  time.Duration // how far the test has moved all clocks on
	servers []*bench
	clocks  []*shifted
	wrong   []time.Duration // by how much those of the servers are
}

func newSkies(t *testing.T, wrong ...time.Duration) *skies {
	t.Helper()
	k := &skies{steps: redistest.ClockStep(t), wrong: wrong}
	k.redis = redistest.Start(t, redistest.Options{NoAOF: true, Preload: []string{k.steps.Lib()}})
	for i := range wrong {
		c := &shifted{}
		k.clocks = append(k.clocks, c)
		k.pass(0)
		b := &bench{}
		b.open(t, engine.Options{URL: k.redis.URL(), Clock: c}, c)
		if i == 0 {
			tn, _, err := tenants.New(b.engine, c).Put(t.Context(), fmt.Sprintf("t%d-%d", os.Getpid(), names.Add(1)), tenants.Settings{}, tenants.Condition{})
			if err != nil {
				t.Fatalf("create tenant: %v", err)
			}
			b.tenant = tn.ID
		} else {
			b.tenant = k.servers[0].tenant
		}
		k.servers = append(k.servers, b)
	}
	return k
}

// pass moves all clocks on, right or wrong.
func (k *skies) pass(d time.Duration) {
	k.passed += d
	k.steps.Set(k.passed + k.step)
	for i, c := range k.clocks {
		c.by.Store(int64(k.passed + k.wrong[i]))
	}
}

// stepRedis puts the clock of Redis off by d.
func (k *skies) stepRedis(d time.Duration) {
	k.step = d
	k.pass(0)
}

// await receives until it has got the messages, and fails when there are others. The rest of a second may still have to
// pass in real time.
func (b *bench) await(t *testing.T, q string, want ...string) {
	t.Helper()
	got := map[string]int{}
	until(t, func() bool {
		for _, m := range b.receive(t, q, 10) {
			got[m.Body]++
		}
		return len(got) >= len(want)
	})
	exp := map[string]int{}
	for _, body := range want {
		exp[body]++
	}
	if diff := cmp.Diff(exp, got); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}

func (b *bench) nothing(t *testing.T, q, when string) {
	t.Helper()
	if got := b.receive(t, q, 10); len(got) > 0 {
		t.Errorf("%s: received %q", when, bodies(got))
	}
}

func (b *bench) delayed(t *testing.T, q, body string, d time.Duration) queues.Sent {
	t.Helper()
	sent, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte(body), Delay: &d})
	if err != nil {
		t.Fatalf("send %q: %v", body, err)
	}
	return sent
}

func (b *bench) skewed(t *testing.T, q string) bool {
	t.Helper()
	b.counts(t, q)
	return b.Skewed()
}

// A step of the clock of Redis makes nothing visible earlier than by the step, and loses nothing.
func TestG28_AStepOfTheRedisClock(t *testing.T) {
	t.Parallel()
	const minute, hour = time.Minute, time.Hour
	var steps, early atomic.Int64
	t.Run("steps", func(t *testing.T) {
		for _, path := range [][]time.Duration{
			{time.Second}, {-time.Second}, {hour}, {-2 * hour}, {time.Second, 0}, {hour, 0}, {-2 * hour, 0}, {hour, -2 * hour, 0}, {26 * hour, 0},
		} {
			t.Run(fmt.Sprint(path), func(t *testing.T) {
				t.Parallel()
				k := newSkies(t, 0)
				b := k.servers[0]
				q := b.queue(t, func(s *queues.Settings) { s.VisibilityTimeout = minute })
				b.send(t, q, "held")
				b.receive(t, q, 1)
				b.delayed(t, q, "delayed", minute)
				b.send(t, q, "ready")
				all := []string{"held", "delayed", "ready"}
				kept := b.queue(t, func(s *queues.Settings) { s.Retention = hour })
				b.send(t, kept, "kept")
				keeps := func(when string) {
					t.Helper()
					if got := b.counts(t, kept); got != [3]int64{1, 0, 0} {
						t.Errorf("%s: counts %v, want the message that is kept for an hour", when, got)
					}
				}

				for _, d := range path {
					k.stepRedis(d)
					steps.Add(1)
					if want := d < -30*time.Second || d > 30*time.Second; want && !b.skewed(t, q) {
						t.Errorf("Redis is off by %s and Skewed() says nothing", d)
					}
					keeps(fmt.Sprint("off by ", d))
					// What needs no clock goes on.
					body := fmt.Sprint("at ", d)
					b.send(t, q, body)
					all = append(all, body)
					got := b.receive(t, q, 10)
					for _, m := range got {
						if m.Body == "held" || m.Body == "delayed" {
							early.Add(1)
							t.Errorf("off by %s: %q was given out a minute early", d, m.Body)
						}
						out := b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: minute})
						if out[0].Err != nil {
							t.Errorf("off by %s: extend: %v", d, out[0].Err)
						}
					}
					if len(got) == 0 || got[len(got)-1].Body != body {
						t.Errorf("off by %s: received %q, want also what was sent", d, bodies(got))
					}
				}
				k.pass(minute - 5*time.Second)
				b.nothing(t, q, "5 s before the end")
				k.stepRedis(0) // somebody mends the clock
				b.nothing(t, q, "5 s before the end, with the clock mended")
				k.pass(hour - minute - 5*time.Second)
				keeps("almost an hour after it was sent")
				// Late by the largest step at most, nothing is lost.
				k.pass(26*hour + minute)
				if got := b.counts(t, kept); got != [3]int64{} {
					t.Errorf("counts %v, want none after more than an hour", got)
				}
				b.await(t, q, all...)
				b.healthy(t, q)
			})
		}
	})
	t.Logf("G28: %d steps of the clock of Redis, %d messages visible early", steps.Load(), early.Load())
}

// Whatever the clock of one server, the messages are where the others expect them.
func TestG28_AServerWithAWrongClock(t *testing.T) {
	t.Parallel()
	const minute, day = time.Minute, 24 * time.Hour
	for _, off := range []time.Duration{day, -day, 40 * time.Second, -40 * time.Second} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			k := newSkies(t, 0, off)
			right, wrong := k.servers[0], k.servers[1]
			short := func(s *queues.Settings) { s.VisibilityTimeout = minute; s.Retention = 2 * minute }
			check := func(q string) {
				t.Helper()
				right.healthy(t, q)
			}

			t.Run("sends", func(t *testing.T) {
				q := wrong.queue(t, short)
				wrong.send(t, q, "ready")
				sent := wrong.delayed(t, q, "delayed", minute)
				if d := time.Until(sent.AvailableAt) - minute + k.passed; d > 2*time.Second || d < -2*time.Second {
					t.Errorf("the delayed message is to be available at %s, off by %s", sent.AvailableAt, d)
				}
				right.await(t, q, "ready")
				k.pass(minute - 5*time.Second)
				right.nothing(t, q, "5 s before the end")
				k.pass(5 * time.Second)
				right.await(t, q, "ready", "delayed")
				check(q)
			})
			t.Run("receives", func(t *testing.T) {
				q := wrong.queue(t, short)
				right.send(t, q, "m")
				m := wrong.receive(t, q, 1)[0]
				right.nothing(t, q, "at once")
				k.pass(minute - 5*time.Second)
				right.nothing(t, q, "5 s before the end")
				out := wrong.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: minute})
				if out[0].Err != nil {
					t.Fatalf("extend: %v", out[0].Err)
				}
				k.pass(minute - 5*time.Second)
				right.nothing(t, q, "5 s before the end of the extension")
				out = wrong.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
				if out[0].Err != nil {
					t.Fatalf("ack: %v", out[0].Err)
				}
				k.pass(minute)
				right.nothing(t, q, "after the ack")
				check(q)
			})
			t.Run("returns", func(t *testing.T) {
				q := right.queue(t, func(s *queues.Settings) { s.VisibilityTimeout = 10 * minute })
				right.send(t, q, "m")
				m := wrong.receive(t, q, 1)[0]
				wrong.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, For: minute})
				k.pass(minute - 5*time.Second)
				right.nothing(t, q, "5 s before the end")
				k.pass(5 * time.Second)
				right.await(t, q, "m")
				check(q)
			})
			t.Run("keeps what is kept", func(t *testing.T) {
				q := right.queue(t, short)
				right.send(t, q, "m")
				right.delayed(t, q, "delayed", minute)
				wrong.counts(t, q)
				k.pass(minute - 5*time.Second)
				wrong.counts(t, q)
				if got := right.counts(t, q); got != [3]int64{1, 0, 1} {
					t.Errorf("counts 5 s before the end of the delay: got %v, want 1 available and 1 delayed", got)
				}
				k.pass(minute / 2)
				right.await(t, q, "m", "delayed")
			})
			t.Run("dedups", func(t *testing.T) {
				q := wrong.queue(t, nil)
				m := queues.Outgoing{Body: []byte("m"), IdempotencyKey: "k"}
				first, err := wrong.Send(context.Background(), wrong.tenant, q, m)
				if err != nil {
					t.Fatal(err)
				}
				k.pass(5*minute - 5*time.Second)
				again, err := right.Send(context.Background(), right.tenant, q, m)
				if err != nil || again.ID != first.ID {
					t.Errorf("the same key within five minutes: got %v and %v, want id %s", again, err, first.ID)
				}
			})
			if !wrong.skewed(t, wrong.queue(t, nil)) {
				t.Error("Skewed() of the wrong server says nothing")
			}
			if right.skewed(t, right.queue(t, nil)) {
				t.Error("Skewed() of the right server says that it is wrong")
			}
		})
	}
}
