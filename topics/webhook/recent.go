package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// The latest attempts of all webhooks of a tenant. Each shard has two lists of them, which the scripts that note an attempt write
// beside the webhook's own log, in the same slot. So it costs a page 128 short reads at first, however many webhooks there are, and
// what failed is not driven out by what arrived.

const (
	// MaxRecent is how many attempts of all webhooks of a tenant are kept in each shard, of those that arrived and of the others.
	MaxRecent = 500
	// MaxRecentLooked bounds the attempts that one page looks at.
	MaxRecentLooked = 10_000
	// firstRead is how many attempts the first read of a list asks for, and each further one for twice as many, up to callEntries.
	firstRead = 16
	// readsAtOnce bounds the reads that are under way for one page.
	readsAtOnce = 16
)

// Recent is an attempt among those of all webhooks of a tenant: what a list shows of it.
type Recent struct {
	Attempt
	UID          string `json:"-"`
	Topic        string `json:"T"`
	Subscription string `json:"S"`
	// Most is how many attempts the message had at most by the settings of then; 0: nobody knows, or there is no end.
	Most int `json:"M,omitempty"`
}

// short returns an attempt as it stands in the tenant's list: without what only its own page shows.
func (c *config) short(st *style, a *Attempt) string {
	one := Recent{Attempt: *a, Topic: c.settings.Topic, Subscription: c.settings.Subscription}
	one.Error, one.Response, one.Truncated, one.Sent, one.Answered, one.Timing = "", "", false, nil, nil, nil
	endless := c.endpoint.OnExhausted == Block && topics.IsFIFOName(c.settings.Topic)
	if a.Entry != "" && !endless && (c.endpoint.SNS == nil || st != nil) {
		one.Most = len(c.waits(st)) + 1
	}
	text, _ := json.Marshal(one) // never fails
	return string(text)
}

// RecentFilter says which attempts are wanted.
type RecentFilter struct {
	// Arrived and Others say of which lists.
	Arrived, Others bool
	// Since is when the first of them was noted; zero: however long ago.
	Since time.Time
	// Wanted says it of the rest; nil is all.
	Wanted func(*Recent) bool
}

// RecentPage is a part of the latest attempts.
type RecentPage struct {
	List []Recent
	// Next is where to go on; "": there is nothing more.
	Next   string
	Looked int // attempts that were looked at
	// CompleteSince: older attempts of some webhooks are not kept any more; zero: all that there were are there.
	CompleteSince time.Time
}

// spot is where an attempt stands in the list: by when it was noted, and among those of the same millisecond by its text.
type spot struct {
	at   int64 // ms
	text string
}

func (p spot) compare(o spot) int {
	return cmp.Or(cmp.Compare(p.at, o.at), strings.Compare(p.text, o.text))
}

// recentList is one of the lists of which a page is made.
type recentList struct {
	key     string
	since   int64
	below   spot  // only what stands below it is still wanted
	from    int64 // what the next read begins with, ms
	skip    int   // how many of them were read already
	size    int   // of the next read
	buffer  []spot
	done    bool
	perhaps time.Time // before which there may have been more
}

// Recent returns the latest attempts of all webhooks of a tenant, those that were noted last first. after is "", or the Next of the
// page before, and an error where it is neither. A page may have fewer than limit, or none, and a Next: then it has looked at
// MaxRecentLooked.
func (s *Store) Recent(ctx context.Context, t tenants.ID, f RecentFilter, after string, limit int) (RecentPage, error) {
	below := spot{math.MaxInt64, ""}
	if after != "" {
		at, text, _ := strings.Cut(after, " ")
		var err error
		if below.at, err = strconv.ParseInt(at, 10, 64); err != nil {
			return RecentPage{}, errs.Invalidf("/cursor", "The cursor is damaged.")
		}
		below.text = text
	}
	since := millis(f.Since)
	if oldest := s.clock.Now().Add(-topics.Hold); f.Since.Before(oldest) { // nobody forgets those of a shard without webhooks
		since = millis(oldest)
	}
	var lists []*recentList
	for shard := range shards {
		keys := recentKeys(t, shard)
		for i, wanted := range []bool{f.Arrived, f.Others} {
			if wanted {
				lists = append(lists, &recentList{key: keys[i], since: since, below: below, from: below.at, size: firstRead})
			}
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for _, l := range lists {
		g.Go(func() error { return s.read(gctx, l) })
	}
	if err := g.Wait(); err != nil {
		return RecentPage{}, err
	}
	out := RecentPage{List: []Recent{}}
	for _, l := range lists {
		if l.perhaps.After(out.CompleteSince) {
			out.CompleteSince = l.perhaps
		}
	}
	return out, s.merge(ctx, lists, f, limit, &out)
}

// merge takes attempts off the lists, the latest first, until there are enough of them or enough were looked at.
func (s *Store) merge(ctx context.Context, lists []*recentList, f RecentFilter, limit int, out *RecentPage) error {
	last := spot{}
	for {
		var first *recentList
		for _, l := range lists {
			if len(l.buffer) > 0 && (first == nil || l.buffer[0].compare(first.buffer[0]) > 0) {
				first = l
			}
		}
		if first == nil {
			return nil
		}
		if len(out.List) == limit || out.Looked == MaxRecentLooked {
			out.Next = last.cursor()
			return nil
		}
		last = first.buffer[0]
		first.buffer = first.buffer[1:]
		out.Looked++
		if one, ok := parseRecent(last.text); ok && (f.Wanted == nil || f.Wanted(&one)) {
			out.List = append(out.List, one)
		}
		if err := s.read(ctx, first); err != nil {
			return err
		}
	}
}

// cursor names a spot by the uid of its webhook and the number of the attempt, which no other has: whatever stands below the one
// stands below the other.
func (p spot) cursor() string {
	uid, rest, _ := strings.Cut(p.text, " ")
	number, _, _ := strings.Cut(rest, " ")
	return fmt.Sprintf("%d %s %s ", p.at, uid, number)
}

// parseRecent reads what log_attempt of lua/lib/log.lua wrote. One that is damaged is left out.
func parseRecent(text string) (out Recent, ok bool) {
	uid, rest, _ := strings.Cut(text, " ")
	number, body, _ := strings.Cut(rest, " ")
	err := json.Unmarshal([]byte(body), &out)
	out.UID = uid
	if err == nil {
		out.Number, err = strconv.ParseInt(number, 10, 64)
	}
	return out, err == nil
}

// read fills the buffer of a list that has nothing left in it, as far as there is more.
func (s *Store) read(ctx context.Context, l *recentList) error {
	for len(l.buffer) == 0 && !l.done {
		reply, err := s.engine.Do(ctx, recentScript, []string{l.key}, min(l.from, maxMillis), l.since, l.skip, l.size)
		if err != nil {
			return err
		}
		list, ok := reply.([]any)
		if !ok || len(list) < 2 {
			return engine.ErrBroken.Because(fmt.Errorf("unexpected answer of %T", reply))
		}
		if engine.Number(list, 0) >= MaxRecent && l.perhaps.IsZero() {
			l.perhaps = moment(engine.Number(list, 1))
		}
		l.done = len(list)-2 < 2*l.size
		l.size = min(2*l.size, callEntries)
		for i := 2; i+1 < len(list); i += 2 {
			p := spot{engine.Number(list, i+1), engine.Text(list, i)}
			if l.skip++; p.at != l.from {
				l.from, l.skip = p.at, 1
			}
			if p.compare(l.below) < 0 {
				l.buffer, l.below = append(l.buffer, p), p
			}
		}
	}
	return nil
}

// maxMillis is later than everything, and a number that scripts do not round.
const maxMillis = 1 << 53

// ResendRecent sends again what failed for good or waits for its next attempt, of the attempts that a page of Recent has, and returns
// how many messages that are, and the page's Next.
func (s *Store) ResendRecent(ctx context.Context, t tenants.ID, f RecentFilter, after string, limit int) (count int64, next string, err error) {
	f.Arrived = false
	page, err := s.Recent(ctx, t, f, after, limit)
	if err != nil {
		return 0, "", err
	}
	entries := map[string]map[string]bool{} // by the uid of the webhook
	for i := range page.List {
		one := &page.List[i]
		if one.Entry == "" {
			continue
		}
		if entries[one.UID] == nil {
			entries[one.UID] = map[string]bool{}
		}
		entries[one.UID][one.Entry] = true
	}
	counts := make(chan int64, len(page.List))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for uid, of := range entries {
		g.Go(func() error {
			n, err := s.reviveThese(gctx, topics.Way{Tenant: t, UID: uid}, of)
			counts <- n
			return err
		})
	}
	err = g.Wait()
	close(counts)
	for n := range counts {
		count += n
	}
	return count, page.Next, err
}

// reviveThese sends entries of a webhook again, and none of one that has ended.
func (s *Store) reviveThese(ctx context.Context, w topics.Way, of map[string]bool) (count int64, err error) {
	var list []string
	flush := func() error {
		got, err := s.revive(ctx, w, time.Time{}, time.Time{}, len(list), list...)
		count, list = count+got.Count, nil
		if errs.KindOf(err) == errs.NotFound {
			return nil
		}
		return err
	}
	for entry := range of {
		if list = append(list, entry); len(list) == callEntries {
			if err := flush(); err != nil {
				return count, err
			}
		}
	}
	if len(list) > 0 {
		err = flush()
	}
	return count, err
}

// EraseRecent removes the latest attempts of a tenant that is deleted, unless most is 0, as tenants.Store.OnErase asks for it: when the
// webhooks are gone, so that none adds more.
func (s *Store) EraseRecent(ctx context.Context, t tenants.ID, most int) (left int64, err error) {
	if most == 0 {
		return 0, nil
	}
	for shard := range shards {
		if _, err := s.engine.Do(ctx, forgetScript, recentKeys(t, shard)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
