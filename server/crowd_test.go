package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/room"
)

// guests is a crowd on a clock of its own, of which a bounded number a second is answered.
type guests struct {
	*crowd
	t     *testing.T
	now   time.Time
	slow  int64
	trip  time.Duration
	inner []func()
	warns int
}

func newGuests(t *testing.T, most int64) *guests {
	g := &guests{t: t, now: time.Unix(1_800_000_000, 0)}
	g.crowd = &crowd{most: most, bodies: room.New(1 << 20), waiting: func() int64 { return 0 }, moving: func() int64 { return g.slow },
		trip: func() time.Duration { return g.trip }, warn: func(int64) { g.warns++ }}
	g.fit.Store(most)
	return g
}

// run has requests arrive and be answered for a while, so many each ten milliseconds.
func (g *guests) run(lasts time.Duration, arrive, answer int) (refused int) {
	g.t.Helper()
	for end := g.now.Add(lasts); g.now.Before(end); g.now = g.now.Add(10 * time.Millisecond) {
		for range arrive {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			switch leave, err := g.enter(httptest.NewRecorder(), r, g.now); {
			case err == nil:
				g.inner = append(g.inner, leave)
			case errors.Is(err, room.ErrOverloaded):
				refused++
				leave()
			default:
				g.t.Fatal(err)
			}
		}
		n := min(answer, len(g.inner))
		for _, leave := range g.inner[:n] {
			leave()
		}
		g.inner = g.inner[n:]
	}
	return refused
}

func TestMoreThanIsAnsweredSoonIsNotLetIn(t *testing.T) {
	t.Parallel()
	g := newGuests(t, 4096)
	if n := g.run(5*time.Second, 10, 10); n != 0 {
		t.Errorf("%d refused of what can be done", n)
	}
	if n := g.run(250*time.Millisecond, 50, 10); n != 0 {
		t.Errorf("%d refused of a short burst", n)
	}
	if n := g.run(2*time.Second, 0, 10); n != 0 || len(g.inner) != 0 {
		t.Errorf("%d refused, %d left of the burst", n, len(g.inner))
	}
	g.run(time.Second, 50, 10)
	refused := g.run(10*time.Second, 50, 10) // 1,000 a second
	if len(g.inner) > 300 || len(g.inner) < 200 || refused < 38_000 || refused > 42_000 || g.warns == 0 {
		t.Errorf("%d under way, %d refused, %d times in the log", len(g.inner), refused, g.warns)
	}
	g.run(500*time.Millisecond, 5, 10)
	if n := g.run(5*time.Second, 5, 10); n != 0 {
		t.Errorf("%d refused after the overload", n)
	}
}

func TestWhatTakesLongWithoutACrowdIsLetIn(t *testing.T) {
	t.Parallel()
	few := newGuests(t, 4096)
	if n := few.run(5*time.Second, 1, 1) + few.run(time.Second, fewRequests/100, 0); n != 0 {
		t.Errorf("%d refused of few", n)
	}
	far := newGuests(t, 4096)
	far.trip = 200 * time.Millisecond // so a request may take 600
	far.run(600*time.Millisecond, 10, 0)
	if n := far.run(10*time.Second, 10, 10); n != 0 {
		t.Errorf("%d refused although Redis is far", n)
	}
	away := newGuests(t, 4096)
	if n := away.run(4*time.Second, 10, 0); n != 0 {
		t.Errorf("%d refused while Redis is away", n)
	}
	if n := away.run(4*time.Second, 10, 0); n < 300 {
		t.Errorf("%d refused beyond the most", n)
	}
	slow := newGuests(t, 4096) // clients
	slow.run(5*time.Second, 10, 10)
	slow.slow = 1000
	slow.run(time.Second, 10, 0)
	if n := slow.run(5*time.Second, 10, 10); n != 0 {
		t.Errorf("%d refused beside those whose clients are slow", n)
	}
	slow.slow = 4096
	if n := slow.run(time.Second, 100, 0); n == 0 || len(slow.inner) > 4096 {
		t.Errorf("%d refused, %d under way, with as many slow clients as there may be", n, len(slow.inner))
	}
}
