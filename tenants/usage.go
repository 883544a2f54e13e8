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
	// UsageHours is for how long usage is kept by the hour.
	UsageHours = 7 * 24 * time.Hour
	// UsageDays is for how long it is kept by the day.
	UsageDays = 400 * 24 * time.Hour
	// MaxUsageSeries bounds the queues and topics of a tenant that are counted for themselves in one hour or day. All others
	// are counted together, and all in what the tenant has in all.
	MaxUsageSeries = 500
	// callHours is how many hours KeyCalls adds up, that of now among them.
	callHours = 24
	// callsLife is for how long the requests of an hour are kept by key after the last one was added, so that they are there
	// for all of that.
	callsLife = 26 * time.Hour
	// maxCallers bounds the keys whose requests are counted in one hour: as many as a tenant may have.
	maxCallers = 1000
	// maxCallsRead bounds the keys of one script.
	maxCallsRead = 250
	// others stands in the place of the name of those.
	others = "~"
	// usageSlack is for how long more than that is kept, so that what is asked for is there.
	usageSlack = 2 * time.Hour
	// maxUsagePeriods bounds the hours or days of one script.
	maxUsagePeriods = 50
)

// Granularity is the length of the periods by which usage is told.
type Granularity string

// The granularities.
const (
	ByHour Granularity = "hour"
	ByDay  Granularity = "day"
)

func (g Granularity) seconds() int64 {
	if g == ByDay {
		return 86_400
	}
	return 3_600
}

// UsageQuery says which usage is asked for.
type UsageQuery struct {
	Granularity Granularity
	From, To    time.Time // periods that begin from the one on, and before the other
	By          Kind      // KindTenant: the sum of all that the tenant does
	Name        string    // only of this queue or topic; "" for each of them
	// Sees leaves out queues or topics of which it reports false; nil: it sees all, and those that are counted together.
	Sees func(name string) bool
}

// Usage is what a tenant did in one period. Where it did nothing there is none.
type Usage struct {
	Start  time.Time
	Name   string // of the queue or topic; "" for all of the tenant, and for Others
	Others bool   // queues or topics beyond MaxUsageSeries, together
	Counts Counts
}

// Usage returns up to limit entries of a tenant's usage, by time and name, behind the entry after ("" for the first), and
// the after of the next part, "" on the last one. It is up to ten seconds behind.
func (s *Store) Usage(ctx context.Context, id ID, q UsageQuery, limit int, after string) (list []Usage, next string, err error) {
	periods, err := s.usagePeriods(ctx, id)
	if err != nil {
		return nil, "", err
	}
	text, afterField, _ := strings.Cut(after, " ")
	afterStart, _ := strconv.ParseInt(text, 10, 64)
	periods = slices.DeleteFunc(periods, func(p period) bool {
		return p.granularity != q.Granularity || p.start < max(q.From.Unix(), afterStart) || p.start >= q.To.Unix()
	})
	for len(periods) > 0 {
		n := min(len(periods), maxUsagePeriods)
		if q.By != KindTenant && q.Name == "" {
			n = 1 // it may have many
		}
		found, err := s.readUsage(ctx, id, q, periods[:n])
		if err != nil {
			return nil, "", err
		}
		periods = periods[n:]
		for _, u := range found {
			field := u.field(q.By)
			if after != "" && u.Start.Unix() == afterStart && field <= afterField {
				continue
			}
			if len(list) == limit {
				return list, next, nil
			}
			list, next = append(list, u), strconv.FormatInt(u.Start.Unix(), 10)+" "+field
		}
	}
	return list, "", nil
}

func (u Usage) field(by Kind) string {
	if u.Others {
		return series{kind: by, name: others}.field()
	}
	return series{kind: by, name: u.Name}.field()
}

// period is an hour or day of which a tenant has usage.
type period struct {
	granularity Granularity
	start       int64 // seconds since 1970
}

func periodAt(g Granularity, at int64) period { return period{g, at - at%g.seconds()} }

// String names the period in Redis.
func (p period) String() string { return string(p.granularity[0]) + strconv.FormatInt(p.start, 10) }

func parsePeriod(text string) (period, error) {
	for _, g := range []Granularity{ByHour, ByDay} {
		if digits, ok := strings.CutPrefix(text, string(g[0])); ok {
			start, err := strconv.ParseInt(digits, 10, 64)
			if err == nil {
				return period{g, start}, nil
			}
		}
	}
	return period{}, engine.ErrBroken.Because(fmt.Errorf("period of usage %q", text))
}

// over reports whether a period is kept no more.
func (p period) over(now time.Time) bool {
	kept := UsageHours
	if p.granularity == ByDay {
		kept = UsageDays
	}
	return p.start < now.Add(-kept-usageSlack).Unix()
}

// usagePeriods returns all periods of which a tenant has usage, by time.
func (s *Store) usagePeriods(ctx context.Context, id ID) ([]period, error) {
	got, err := s.run(ctx, usagePeriodsScript, []string{usagePeriodsKey(id)})
	if err != nil {
		return nil, err
	}
	list := make([]period, 0, len(got))
	for _, text := range got {
		p, err := parsePeriod(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// readUsage returns what is asked for of some periods of one granularity.
func (s *Store) readUsage(ctx context.Context, id ID, q UsageQuery, periods []period) ([]Usage, error) {
	keys := make([]string, len(periods))
	for i, p := range periods {
		keys[i] = usageKey(id, p)
	}
	field := "*"
	if q.By == KindTenant || q.Name != "" {
		field = series{kind: q.By, name: q.Name}.field()
	}
	got, err := s.run(ctx, usageReadScript, keys, field)
	if err != nil {
		return nil, err
	}
	var list []Usage
	for i := 0; i+2 < len(got); i += 3 {
		at, err := strconv.Atoi(got[i])
		if err != nil || at < 1 || at > len(periods) {
			return nil, engine.ErrBroken.Because(fmt.Errorf("period %q of %d", got[i], len(periods)))
		}
		kind, name, _ := strings.Cut(got[i+1], "/")
		if field == "*" && kind != string(q.By) {
			continue
		}
		u := Usage{Start: time.Unix(periods[at-1].start, 0).UTC(), Name: name, Others: name == others}
		if u.Others {
			u.Name = ""
		}
		if q.Sees != nil && (u.Others || !q.Sees(u.Name)) {
			continue
		}
		if u.Counts, err = parseCounts(got[i+2]); err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	slices.SortStableFunc(list, func(a, b Usage) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return strings.Compare(a.field(q.By), b.field(q.By))
	})
	return list, nil
}

// addUsage adds a statement of a meter to what is kept, unless that was done before, and reports whether an hour has begun
// with it. Where it tells of trouble, that of the hour is noted for operators too. Of a tenant that is gone nothing is kept.
func (s *Store) addUsage(ctx context.Context, id ID, writer string, st statement) (fresh bool, err error) {
	hour := periodAt(ByHour, st.hour*ByHour.seconds())
	day := periodAt(ByDay, hour.start)
	args := []any{writer, st.number, hour.String(), hour.start, day.String(), day.start, MaxUsageSeries, writerLife.Milliseconds(),
		maxCallers, callsLife.Milliseconds()}
	for i, f := range st.fields {
		args = append(args, f, st.counts[i].String())
	}
	keys := []string{recordKey(id), usageWritersKey(id), usagePeriodsKey(id), usageKey(id, hour), usageKey(id, day), callsKey(id, hour)}
	got, err := s.run(ctx, usageAddScript, keys, args...)
	if err != nil {
		return false, err
	}
	if len(got) > 1 && st.counts[0].trouble() != (Trouble{}) {
		sum, err := parseCounts(got[1])
		if err != nil {
			return false, err
		}
		if err := s.noteTrouble(ctx, id, st.hour, sum.trouble()); err != nil {
			return false, err // the statement is made again, counts no more, and is noted then
		}
	}
	return got[0] == "fresh", nil
}

// KeyCalls returns how many requests were made with each of a tenant's keys since the hour began that was 23 hours ago. It is up to ten
// seconds behind.
func (s *Store) KeyCalls(ctx context.Context, id ID, keyIDs []string) ([]int64, error) {
	now := periodAt(ByHour, s.terms.clock.Now().Unix())
	hours := make([]string, callHours)
	for i := range hours {
		hours[i] = callsKey(id, period{ByHour, now.start - int64(i)*ByHour.seconds()})
	}
	calls := make([]int64, 0, len(keyIDs))
	for part := range slices.Chunk(keyIDs, maxCallsRead) {
		args := make([]any, len(part))
		for i, k := range part {
			args[i] = k
		}
		got, err := s.run(ctx, keyCallsScript, hours, args...)
		if err != nil {
			return nil, err
		}
		for _, text := range got {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, engine.ErrBroken.Because(fmt.Errorf("calls of a key: %w", err))
			}
			calls = append(calls, n)
		}
	}
	if len(calls) != len(keyIDs) {
		return nil, engine.ErrBroken.Because(fmt.Errorf("calls of keys: %d answers to %d questions", len(calls), len(keyIDs)))
	}
	return calls, nil
}

// PruneUsage forgets the usage of a tenant that is kept no more.
func (s *Store) PruneUsage(ctx context.Context, id ID) error {
	now := s.terms.clock.Now()
	return s.dropUsage(ctx, id, func(p period) bool { return p.over(now) })
}

// dropUsage forgets some periods of a tenant.
func (s *Store) dropUsage(ctx context.Context, id ID, drop func(period) bool) error {
	periods, err := s.usagePeriods(ctx, id)
	if err != nil {
		return err
	}
	periods = slices.DeleteFunc(periods, func(p period) bool { return !drop(p) })
	for part := range slices.Chunk(periods, maxUsagePeriods) {
		keys, args := []string{usagePeriodsKey(id)}, []any{}
		for _, p := range part {
			keys, args = append(keys, usageKey(id, p)), append(args, p.String())
			if p.granularity == ByHour {
				keys = append(keys, callsKey(id, p))
			}
		}
		if _, err := s.run(ctx, usageDropScript, keys, args...); err != nil {
			return err
		}
	}
	return nil
}

// forgetUsage deletes all usage of a tenant that is being deleted.
func (s *Store) forgetUsage(ctx context.Context, id ID) error {
	if err := s.dropUsage(ctx, id, func(period) bool { return true }); err != nil {
		return err
	}
	_, err := s.run(ctx, usageDropScript, []string{usagePeriodsKey(id), usageWritersKey(id)})
	return err
}

func usagePeriodsKey(id ID) string { return engine.TenantKey(id.s, "usage-periods") } // ZSET of periods by their start
func usageWritersKey(id ID) string { return engine.TenantKey(id.s, "usage-writers") } // HASH writer to number and time

// usageKey is a HASH of fields to amounts.
func usageKey(id ID, p period) string { return engine.TenantKey(id.s, "usage-"+p.String()) }

// callsKey is a HASH of ids of keys to their requests in an hour.
func callsKey(id ID, hour period) string { return engine.TenantKey(id.s, "calls-"+hour.String()) }
