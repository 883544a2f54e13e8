package engine_test

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAMillionIDsDiffer(t *testing.T) {
	t.Parallel()
	const sessions, each = 10, 100_000
	all := make([]engine.ID, sessions*each)
	var wg sync.WaitGroup
	for n := range sessions {
		// Numbers that differ in their highest and lowest bits only.
		s := engine.NewSession(uint32(n%2 | n/2<<21))
		wg.Go(func() {
			for i := range each {
				all[n*each+i] = s.NewID(noon.Add(time.Duration(i/1000)*time.Millisecond), i%64)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b engine.ID) int { return bytes.Compare(a[:], b[:]) })
	if n := len(slices.Compact(all)); n != sessions*each {
		t.Errorf("%d of %d ids differ", n, sessions*each)
	}
}

func TestIDsSortByTheTimeAtWhichTheyWereMade(t *testing.T) {
	t.Parallel()
	s := engine.NewSession(0xfffffe)
	var last engine.ID
	now := noon
	for i := range 200_000 {
		switch i % 50_000 { // the clock goes on, steps back, and catches up
		case 20_000:
			now = now.Add(-time.Hour)
		case 40_000:
			now = now.Add(2 * time.Hour)
		default:
			now = now.Add(time.Duration(i%3) * 100 * time.Microsecond)
		}
		id := s.NewID(now, 5)
		if bytes.Compare(last[:], id[:]) >= 0 {
			t.Fatalf("id %d is %s, after %s", i, id, last)
		}
		if strings.Compare(last.String(), id.String()) >= 0 {
			t.Fatalf("id %d prints as %s, after %s", i, id, last)
		}
		last = id
	}
}

// A clock that stands still, or has been set back, must not make the counter's wrap give an id twice: a message would
// take another one's place.
func TestIDsDifferWhileTheClockStandsStill(t *testing.T) {
	t.Parallel()
	s := engine.NewSession(7)
	seen := map[engine.ID]bool{}
	var last engine.ID
	for round := range 4 {
		s.Wind(1<<24 - 100) // as after so many more ids
		for i := range 200 {
			id := s.NewID(noon.Add(-time.Duration(round)*time.Hour), 0)
			if seen[id] || bytes.Compare(last[:], id[:]) >= 0 {
				t.Fatalf("round %d, id %d is %s, after %s", round, i, id, last)
			}
			seen[id], last = true, id
		}
	}
	if ahead := last.Time().Sub(noon); ahead != 4*time.Millisecond {
		t.Errorf("the last id says %v past its time, want a millisecond for each time around", ahead)
	}
}

func TestAnIDSaysWhenAndForWhichShardItWasMade(t *testing.T) {
	t.Parallel()
	s := engine.NewSession(0xffffff)
	for _, now := range []time.Time{
		time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), noon.Add(123456789 * time.Microsecond), time.Date(2164, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		for shard := range 64 {
			id := s.NewID(now, shard)
			if !id.Time().Equal(now.Truncate(time.Millisecond)) || id.Shard() != shard {
				t.Fatalf("id of %v, shard %d says %v, shard %d", now, shard, id.Time(), id.Shard())
			}
			got, ok := engine.ParseID(id.String())
			if !ok || got != id || len(id.String()) != 20 {
				t.Fatalf("%s parses as %s, %t", id, got, ok)
			}
		}
	}
	if early := engine.NewSession(1).NewID(time.Unix(0, 0), 0); !early.Time().Equal(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("an id of a clock that was never set says %v", early.Time())
	}
}

func TestOnlyOneSpellingIsAnID(t *testing.T) {
	t.Parallel()
	id := engine.NewSession(3).NewID(noon, 1)
	s := id.String()
	bad := []string{"", s[:19], s + "0", strings.ToUpper(s), s[:19] + "\n", s[:10] + "\r\n" + s[12:], " " + s[1:], s[:19] + "=",
		"iiiiiiiiiiiiiiiiiiii", "llllllllllllllllllll", "oooooooooooooooooooo", "uuuuuuuuuuuuuuuuuuuu", s[:19] + "é", strings.Repeat("\x00", 20)}
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	for _, c := range alphabet { // the last character has four spare bits
		if spelt := s[:19] + string(c); spelt != s {
			if got, ok := engine.ParseID(spelt); ok && got == id {
				bad = append(bad, spelt)
			}
		}
	}
	for _, spelt := range bad {
		if got, ok := engine.ParseID(spelt); ok {
			t.Errorf("%q parses as %s", spelt, got)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("0123456789abcdefghj0")
	f.Add(engine.NewSession(3).NewID(noon, 1).String())
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := engine.ParseID(s); ok && id.String() != s {
			t.Errorf("%q parses as %s", s, id)
		}
	})
}

func BenchmarkNewID(b *testing.B) {
	s := engine.NewSession(3)
	for b.Loop() {
		_ = s.NewID(noon, 1)
	}
}
