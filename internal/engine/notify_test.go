package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
)

// ear records what Listen says.
type ear struct {
	mu    sync.Mutex
	words []string
	ups   []bool // changes only
	since time.Time
}

// listen runs Listen until the test ends.
func listen(t *testing.T, e *engine.Engine) *ear {
	t.Helper()
	x := &ear{}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		e.Listen(ctx, engine.WakePrefix, func(up bool) {
			x.mu.Lock()
			defer x.mu.Unlock()
			if n := len(x.ups); n == 0 || x.ups[n-1] != up {
				x.ups, x.since = append(x.ups, up), time.Now()
			}
		}, func(word string) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.words = append(x.words, word)
		})
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if up, _ := x.state(); up {
			t.Error("Listen ended and did not say that it is deaf")
		}
	})
	until(t, "the ear is open", func() bool { up, _ := x.state(); return up })
	return x
}

// state returns whether the channel is up, and how often that has changed.
func (x *ear) state() (up bool, changes int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := len(x.ups)
	return n > 0 && x.ups[n-1], n
}

func (x *ear) heard(word string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range x.words {
		if w == word {
			return true
		}
	}
	return false
}

func channel(e *engine.Engine) string {
	return engine.WakePrefix + fmt.Sprint(e.Session().Number())
}

func say(t *testing.T, c redis.UniversalClient, e *engine.Engine, word string) {
	t.Helper()
	if err := c.Publish(t.Context(), channel(e), word).Err(); err != nil {
		t.Errorf("publish: %v", err)
	}
}

func TestWordsArrive(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		a, b := start(t, opt), start(t, opt)
		x, y := listen(t, a), listen(t, b)
		const words = 500
		for i := range words {
			say(t, a.Single(), a, fmt.Sprint("a", i))
			say(t, a.Single(), b, fmt.Sprint("b", i))
		}
		until(t, "the last words arrive", func() bool {
			return x.heard(fmt.Sprint("a", words-1)) && y.heard(fmt.Sprint("b", words-1))
		})
		x.mu.Lock()
		defer x.mu.Unlock()
		for i, w := range x.words {
			if w != fmt.Sprint("a", i) {
				t.Fatalf("word %d is %q", i, w)
			}
		}
	})
}

func TestADroppedListenerSaysSoAndComesBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	e := start(t, engine.Options{URL: s.URL()})
	x := listen(t, e)
	for round := range 3 {
		_, before := x.state()
		if err := s.Client(t).ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		until(t, "down and up again", func() bool {
			up, changes := x.state()
			return up && changes == before+2
		})
		word := fmt.Sprint("word", round)
		say(t, s.Client(t), e, word)
		until(t, "a word arrives again", func() bool { return x.heard(word) })
	}
}

func TestASilentConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Port: true})
	p := faultnet.New(t, s.Network(), s.Addr())
	e := start(t, engine.Options{URL: s.URL(), Dialer: p.Dialer()})
	x := listen(t, e)
	// A quiet connection that works stays up.
	for deadline := time.Now().Add(2500 * time.Millisecond); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if up, changes := x.state(); !up || changes != 1 {
			t.Fatal("a connection on which nobody speaks was given up")
		}
	}
	p.BlackHole()
	began := time.Now()
	until(t, "it is noticed", func() bool { up, _ := x.state(); return !up })
	took := time.Since(began)
	t.Logf("noticed after %v", took.Round(time.Millisecond))
	if took > 3*time.Second {
		t.Errorf("a dead connection was noticed after %v, at most 3 s is right", took)
	}
	p.Heal()
	until(t, "it is up again", func() bool { up, _ := x.state(); return up })
	say(t, s.Client(t), e, "after")
	until(t, "a word arrives again", func() bool { return x.heard("after") })
}

func TestTheListenerOutlivesARestart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	e := start(t, engine.Options{URL: s.URL()})
	x := listen(t, e)
	s.Kill9()
	until(t, "it is down", func() bool { up, _ := x.state(); return !up })
	s.Restart()
	until(t, "it is up again", func() bool { up, _ := x.state(); return up })
	say(t, s.Client(t), e, "after")
	until(t, "a word arrives again", func() bool { return x.heard("after") })
}

// Words cross a Cluster from any node, and outlive the node to which the listener was connected.
func TestWordsCrossACluster(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 1)
	e := start(t, engine.Options{URL: clusterURL(c)})
	x := listen(t, e)
	for i, n := range c.Nodes {
		word := fmt.Sprint("from", i)
		say(t, n.Client(t), e, word)
		until(t, word, func() bool { return x.heard(word) })
	}
	host := c.MasterOf(channel(e))
	host.Kill9()
	until(t, "it is down", func() bool { up, _ := x.state(); return !up })
	until(t, "it is up again", func() bool { up, _ := x.state(); return up })
	c.WaitOK()
	for i, n := range c.Nodes {
		if n == host {
			continue
		}
		word := fmt.Sprint("again", i)
		until(t, word, func() bool { // the nodes may still be finding each other
			say(t, n.Client(t), e, word)
			return x.heard(word)
		})
	}
}

func TestTheListenerFollowsTheSentinels(t *testing.T) {
	t.Parallel()
	set := redistest.Sentinel(t, 1, 3)
	e := start(t, engine.Options{URL: set.URL()})
	x := listen(t, e)
	set.Master().Kill9()
	until(t, "it is down", func() bool { up, _ := x.state(); return !up })
	until(t, "it is up again", func() bool { up, _ := x.state(); return up })
	say(t, set.Master().Client(t), e, "after")
	until(t, "a word arrives again", func() bool { return x.heard("after") })
}
