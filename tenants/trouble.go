package tenants

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

const (
	// TroubleHours is of how many hours a Trouble tells: the one that is under way, and those before it.
	TroubleHours = 24
	// troubleLife is how long the trouble of an hour is kept after it was added to.
	troubleLife = (TroubleHours + 1) * time.Hour
)

// Trouble is what went wrong for a tenant in the last TroubleHours, as its usage has it.
type Trouble struct {
	Throttled   int64 // requests that were refused because it did too much a second
	Undelivered int64 // attempts of webhooks after which a message was not delivered
}

func (t Trouble) plus(u Trouble) Trouble {
	return Trouble{t.Throttled + u.Throttled, t.Undelivered + u.Undelivered}
}

func (c Counts) trouble() Trouble { return Trouble{c[MetricThrottled], c[MetricUndelivered]} }

// Troubles returns what went wrong for some tenants, at most MaxPage, in one call; or for all of whom anything did, in a call for
// each hour. It is up to ten seconds behind. Usage lies with each tenant: to look there for who has most would take a call for each.
func (s *Store) Troubles(ctx context.Context, list ...ID) (map[ID]Trouble, error) {
	hours := slices.Chunk(troubleKeys(s.terms.clock.Now()), 1)
	if len(list) > 0 {
		hours = slices.Chunk(troubleKeys(s.terms.clock.Now()), TroubleHours)
	}
	args := make([]any, len(list))
	for i, id := range list {
		args[i] = id.s
	}
	all := map[ID]Trouble{}
	for keys := range hours {
		got, err := s.run(ctx, troubleReadScript, keys, args...)
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(got); i += 2 {
			id, ok := ParseID(got[i])
			t, err := parseTrouble(got[i+1])
			if !ok || err != nil {
				return nil, engine.ErrBroken.Because(fmt.Errorf("trouble %q of tenant %q", got[i+1], got[i]))
			}
			all[id] = all[id].plus(t)
		}
	}
	return all, nil
}

// noteTrouble says what went wrong for a tenant in an hour, in all.
func (s *Store) noteTrouble(ctx context.Context, id ID, hour int64, t Trouble) error {
	amounts := strconv.FormatInt(t.Throttled, 10) + "," + strconv.FormatInt(t.Undelivered, 10)
	_, err := s.run(ctx, troubleAddScript, []string{idsKey, troubleKey(hour)}, id.s, amounts, troubleLife.Milliseconds())
	return err
}

// forgetTrouble forgets that of a tenant that is being deleted.
func (s *Store) forgetTrouble(ctx context.Context, id ID) error {
	_, err := s.run(ctx, troubleDropScript, troubleKeys(s.terms.clock.Now()), id.s)
	return err
}

// parseTrouble reads what noteTrouble wrote. Amounts that are missing are 0, those of newer servers are left out.
func parseTrouble(text string) (t Trouble, err error) {
	for i, part := range strings.Split(text, ",") {
		n, err := strconv.ParseInt(part, 10, 64)
		switch {
		case err != nil:
			return t, err
		case i == 0:
			t.Throttled = n
		case i == 1:
			t.Undelivered = n
		}
	}
	return t, nil
}

// troubleKeys are those of the last TroubleHours.
func troubleKeys(now time.Time) []string {
	keys := make([]string, TroubleHours)
	for i := range keys {
		keys[i] = troubleKey(hourOf(now) - int64(i))
	}
	return keys
}

// troubleKey is a HASH of tenant ids to what went wrong in an hour since 1970.
func troubleKey(hour int64) string { return engine.SystemKey("trouble-" + strconv.FormatInt(hour, 10)) }
