package cron_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/cron"
)

func mustParse(tb testing.TB, text string) cron.Expression {
	tb.Helper()
	e, err := cron.Parse(text)
	if err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return e
}

func mustZone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	zone, err := cron.Zone(name)
	if err != nil {
		tb.Fatal(err)
	}
	return zone
}

// next returns the n instants after one, as text.
func next(tb testing.TB, expression, zone, after string, n int) []string {
	tb.Helper()
	e, z := mustParse(tb, expression), mustZone(tb, zone)
	t, err := time.ParseInLocation("2006-01-02 15:04:05", after, z)
	if err != nil {
		tb.Fatal(err)
	}
	var list []string
	for range n {
		t = e.Next(t, z)
		list = append(list, t.Format("Mon 2006-01-02T15:04:05Z07:00"))
	}
	return list
}

func TestExpressionsMeanWhatCronUsersExpect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expression string
		want       []string
	}{
		{"* * * * *", []string{"Thu 2026-01-01T00:01:00Z", "Thu 2026-01-01T00:02:00Z"}},
		{"*/20 * * * *", []string{"Thu 2026-01-01T00:20:00Z", "Thu 2026-01-01T00:40:00Z", "Thu 2026-01-01T01:00:00Z"}},
		{"7/20 3 * * *", []string{"Thu 2026-01-01T03:07:00Z", "Thu 2026-01-01T03:27:00Z", "Thu 2026-01-01T03:47:00Z", "Fri 2026-01-02T03:07:00Z"}},
		{"0 9 * * 1-5", []string{"Thu 2026-01-01T09:00:00Z", "Fri 2026-01-02T09:00:00Z", "Mon 2026-01-05T09:00:00Z"}},
		{"0 9 * * mon-Fri", []string{"Thu 2026-01-01T09:00:00Z", "Fri 2026-01-02T09:00:00Z", "Mon 2026-01-05T09:00:00Z"}},
		{"5,10-12 0,12 * JAN,mar *", []string{"Thu 2026-01-01T00:05:00Z", "Thu 2026-01-01T00:10:00Z", "Thu 2026-01-01T00:11:00Z", "Thu 2026-01-01T00:12:00Z", "Thu 2026-01-01T12:05:00Z"}},
		{"0 0 * * 7", []string{"Sun 2026-01-04T00:00:00Z", "Sun 2026-01-11T00:00:00Z"}},
		{"0 0 * * FRI-SUN", []string{"Fri 2026-01-02T00:00:00Z", "Sat 2026-01-03T00:00:00Z", "Sun 2026-01-04T00:00:00Z", "Fri 2026-01-09T00:00:00Z"}},
		// Two fields that limit the day: either is enough. With a * in front both must hold.
		{"0 0 13 * FRI", []string{"Fri 2026-01-02T00:00:00Z", "Fri 2026-01-09T00:00:00Z", "Tue 2026-01-13T00:00:00Z"}},
		{"0 0 */2 * FRI", []string{"Fri 2026-01-09T00:00:00Z", "Fri 2026-01-23T00:00:00Z"}},
		{"0 0 31 * *", []string{"Sat 2026-01-31T00:00:00Z", "Tue 2026-03-31T00:00:00Z"}},
		{"0 0 29 2 *", []string{"Tue 2028-02-29T00:00:00Z", "Sun 2032-02-29T00:00:00Z"}},
		{"0 0 29 FEB */7", []string{"Sun 2032-02-29T00:00:00Z", "Sun 2060-02-29T00:00:00Z"}},
		{"@hourly", []string{"Thu 2026-01-01T01:00:00Z", "Thu 2026-01-01T02:00:00Z"}},
		{"@daily", []string{"Fri 2026-01-02T00:00:00Z"}},
		{"@midnight", []string{"Fri 2026-01-02T00:00:00Z"}},
		{"@weekly", []string{"Sun 2026-01-04T00:00:00Z"}},
		{"@monthly", []string{"Sun 2026-02-01T00:00:00Z"}},
		{"@Yearly", []string{"Fri 2027-01-01T00:00:00Z"}},
		{"@annually", []string{"Fri 2027-01-01T00:00:00Z"}},
	} {
		if diff := cmp.Diff(c.want, next(t, c.expression, "", "2026-01-01 00:00:00", len(c.want))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.expression, diff)
		}
	}
}

func TestClocksThatChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, expression, zone, after string
		want                          []string
	}{
		{"Berlin in spring: 02:30 is not there, so at the end of the gap", "30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00",
			[]string{"Sun 2026-03-29T03:00:00+02:00", "Mon 2026-03-30T02:30:00+02:00"}},
		{"once, however many local times fall into the gap", "*/10 2,3 * * *", "Europe/Berlin", "2026-03-29 01:00:00",
			[]string{"Sun 2026-03-29T03:00:00+02:00", "Sun 2026-03-29T03:10:00+02:00"}},
		{"Berlin in autumn: 02:30 comes twice, so the first time", "30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00",
			[]string{"Sun 2026-10-25T02:30:00+02:00", "Mon 2026-10-26T02:30:00+01:00"}},
		{"New York in spring", "30 2 * * *", "America/New_York", "2026-03-07 12:00:00",
			[]string{"Sun 2026-03-08T03:00:00-04:00", "Mon 2026-03-09T02:30:00-04:00"}},
		{"New York in autumn", "0,30 1 * * *", "America/New_York", "2026-10-31 12:00:00",
			[]string{"Sun 2026-11-01T01:00:00-04:00", "Sun 2026-11-01T01:30:00-04:00", "Mon 2026-11-02T01:00:00-05:00"}},
		{"Lord Howe in spring: half an hour is not there", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00",
			[]string{"Sun 2026-10-04T02:30:00+11:00", "Mon 2026-10-05T02:15:00+11:00"}},
		{"Lord Howe in autumn: half an hour comes twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00:00",
			[]string{"Sun 2026-04-05T01:45:00+11:00", "Mon 2026-04-06T01:45:00+10:30"}},
		{"Kolkata never changes", "30 2 * * *", "Asia/Kolkata", "2026-03-28 12:00:00",
			[]string{"Sun 2026-03-29T02:30:00+05:30", "Mon 2026-03-30T02:30:00+05:30"}},
		{"every hour goes on in spring", "30 * * * *", "Europe/Berlin", "2026-03-29 00:45:00",
			[]string{"Sun 2026-03-29T01:30:00+01:00", "Sun 2026-03-29T03:30:00+02:00"}},
		{"and in autumn", "@hourly", "Europe/Berlin", "2026-10-25 01:30:00",
			[]string{"Sun 2026-10-25T02:00:00+02:00", "Sun 2026-10-25T02:00:00+01:00", "Sun 2026-10-25T03:00:00+01:00"}},
		{"a midnight that is not there", "0 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00:00",
			[]string{"Sun 2018-11-04T01:00:00-02:00", "Mon 2018-11-05T00:00:00-02:00"}},
		{"a day that is not there", "0 9 * * *", "Pacific/Apia", "2011-12-29 08:00:00",
			[]string{"Thu 2011-12-29T09:00:00-10:00", "Sat 2011-12-31T00:00:00+14:00", "Sat 2011-12-31T09:00:00+14:00"}},
	} {
		if diff := cmp.Diff(c.want, next(t, c.expression, c.zone, c.after, len(c.want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestExpressionsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", "it has 0 fields"},
		{"* * * *", "it has 4 fields"},
		{"0 0 12 * * ?", "it has 6 fields"},
		{"60 * * * *", `minute: "60" is not from 0 to 59`},
		{"* 24 * * *", `hour: "24" is not from 0 to 23`},
		{"* * 0 * *", `day of the month: "0" is not from 1 to 31`},
		{"* * * 13 *", `month: "13" is not from 1 to 12`},
		{"* * * * 8", `day of the week: "8" is not from 0 to 7`},
		{"* * * MON *", `month: "MON" is not from 1 to 12`},
		{"-1 * * * *", `minute: "" is not from 0 to 59`},
		{"+1 * * * *", `minute: "+1" is not from 0 to 59`},
		{"1, * * * *", `minute: "" is not from 0 to 59`},
		{"1-2-3 * * * *", `minute: "2-3" is not from 0 to 59`},
		{"5-1 * * * *", `minute: the range "5-1" ends before it begins`},
		{"*/0 * * * *", `minute: the step "0" is not a number from 1 to 59`},
		{"*/ * * * *", `minute: the step "" is not`},
		{"*-5 * * * *", `minute: "*" is not from 0 to 59`},
		{"99999999999999999999 * * * *", `is not from 0 to 59`},
		{"0 0 L * *", `day of the month: "L" is not`},
		{"0 0 30 2 *", "there is no such day"},
		{"0 0 31 4,6 *", "there is no such day"},
		{"@reboot", `"@reboot" is not known`},
		{"@every 5m", "it has 2 fields"},
		{strings.Repeat("1,", 200) + "1 * * * *", "it has 409 characters, at most 256 are read"},
	} {
		if _, err := cron.Parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %q", c.text, err, c.want)
		}
	}
	if at := (cron.Expression{}).Next(time.Unix(0, 0), time.UTC); !at.IsZero() {
		t.Errorf("the zero expression is due at %s", at)
	}
}

func TestZones(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Berlin", "UTC", "Asia/Kolkata"} {
		for range 2 {
			if z, err := cron.Zone(name); err != nil || z.String() != name {
				t.Errorf("%s: got %v, %v", name, z, err)
			}
		}
	}
	if z, err := cron.Zone(""); err != nil || z != time.UTC {
		t.Errorf(`"": got %v, %v`, z, err)
	}
	for _, name := range []string{"Local", "Europe/Nowhere", "../../etc/passwd", "/etc/localtime", "europe\x00", "Europe"} {
		if z, err := cron.Zone(name); err == nil {
			t.Errorf("%q: got %v, want an error", name, z)
		}
	}
}

// spec is an expression as sets of values, so that the reference does not depend on the parser.
type spec struct {
	minutes, hours, days, months, weekdays []int // nil: *
}

func (s spec) String() string {
	var parts []string
	for _, set := range [][]int{s.minutes, s.hours, s.days, s.months, s.weekdays} {
		text := make([]string, len(set))
		for i, v := range set {
			text[i] = strconv.Itoa(v)
		}
		if parts = append(parts, strings.Join(text, ",")); set == nil {
			parts[len(parts)-1] = "*"
		}
	}
	return strings.Join(parts, " ")
}

func (s spec) right(local time.Time) bool {
	is := func(set []int, v int) bool { return set == nil || slices.Contains(set, v) }
	day := is(s.days, local.Day()) && is(s.weekdays, int(local.Weekday()))
	if s.days != nil && s.weekdays != nil {
		day = is(s.days, local.Day()) || is(s.weekdays, int(local.Weekday()))
	}
	return day && is(s.minutes, local.Minute()) && is(s.hours, local.Hour()) && is(s.months, int(local.Month()))
}

// lookBack is longer than any clock was ever put back on the days of the test.
const lookBack = 4 * time.Hour

// reference walks through real time minute by minute and looks at the clock on the wall.
func (s spec) reference(from, to time.Time, zone *time.Location) (due []time.Time) {
	shown := func(t time.Time) time.Time { // what the clock shows, as if it were in UTC
		l := t.In(zone)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
	}
	latest := shown(from.Add(-lookBack)) // the latest local time that was ever shown
	for t := from.Add(-lookBack); !t.After(to); t = t.Add(time.Minute) {
		local := shown(t)
		hit := s.right(local) && (s.hours == nil || local.After(latest))
		for missing := latest.Add(time.Minute); s.hours != nil && missing.Before(local); missing = missing.Add(time.Minute) {
			hit = hit || s.right(missing)
		}
		if local.After(latest) {
			latest = local
		}
		if hit && t.After(from) {
			due = append(due, t)
		}
	}
	return due
}

// Wherever clocks have changed in some way, Next finds what a look at the clock in each minute finds.
func TestNextIsWhatTheClockOnTheWallShows(t *testing.T) {
	t.Parallel()
	changes := []struct{ zone, day string }{
		{"Europe/Berlin", "2026-03-29"}, {"Europe/Berlin", "2026-10-25"}, {"America/New_York", "2026-03-08"},
		{"America/New_York", "2026-11-01"}, {"Australia/Lord_Howe", "2026-10-04"}, {"Australia/Lord_Howe", "2026-04-05"},
		{"Asia/Kolkata", "2026-03-29"}, {"UTC", "2026-02-28"}, {"America/Sao_Paulo", "2018-11-04"}, {"America/Sao_Paulo", "2019-02-17"},
		{"America/Havana", "2026-03-08"}, {"America/Havana", "2026-11-01"}, {"Atlantic/Azores", "2026-10-25"}, {"Africa/Cairo", "2026-04-24"},
		{"Pacific/Apia", "2011-12-30"}, {"Pacific/Kwajalein", "1993-08-21"}, {"Asia/Pyongyang", "2018-05-05"}, {"Antarctica/Troll", "2026-03-29"},
		{"Africa/Casablanca", "2026-02-15"}, {"Asia/Kathmandu", "1986-01-01"}, {"America/Nuuk", "2026-03-29"},
	}
	set := func(low, high, most int) *rapid.Generator[[]int] {
		some := rapid.Custom(func(r *rapid.T) []int {
			list := rapid.SliceOfNDistinct(rapid.IntRange(low, high), 1, most, rapid.ID).Draw(r, "set")
			slices.Sort(list)
			return list
		})
		return rapid.OneOf(some, rapid.Just([]int(nil)))
	}
	rapid.Check(t, func(r *rapid.T) {
		s := spec{minutes: set(0, 59, 6).Draw(r, "minutes"), hours: set(0, 4, 3).Draw(r, "hours")}
		if rapid.IntRange(0, 3).Draw(r, "when") == 0 {
			s.hours = set(20, 23, 3).Draw(r, "late hours")
		}
		if rapid.IntRange(0, 3).Draw(r, "by weekday") == 0 {
			s.weekdays = set(0, 6, 3).Draw(r, "weekdays")
		}
		byDate, byMonth := rapid.IntRange(0, 3).Draw(r, "by date") == 0, rapid.Bool().Draw(r, "by month")
		after := time.Duration(rapid.IntRange(-20*60, 10*60).Draw(r, "from")) * time.Minute
		for _, c := range changes {
			day, _ := time.Parse(time.DateOnly, c.day)
			if byDate {
				s.days = []int{day.Day()}
			}
			if byMonth {
				s.months = []int{int(day.Month())}
			}
			compare(r, s, day.Add(after), mustZone(t, c.zone))
		}
	})
}

// compare holds Next against the reference for a day and a half.
func compare(tb rapid.TB, s spec, from time.Time, zone *time.Location) {
	to := from.Add(36 * time.Hour)
	e, err := cron.Parse(s.String())
	if err != nil {
		tb.Fatalf("%q: %v", s, err)
	}
	var got, want []string
	for at := e.Next(from, zone); !at.IsZero() && !at.After(to); at = e.Next(at, zone) {
		got = append(got, at.Format(time.RFC3339))
	}
	due := s.reference(from, to, zone)
	for _, at := range due {
		want = append(want, at.In(zone).Format(time.RFC3339))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Fatalf("%q in %s from %s (-want +got):\n%s", s, zone, from.In(zone).Format(time.RFC3339), diff)
	}
	// From anywhere between two instants the next one is the same.
	for _, at := range due[:min(len(due), 20)] {
		for _, before := range []time.Duration{1, time.Second, 59 * time.Second} {
			if found := e.Next(at.Add(-before), zone); !found.Equal(at) {
				tb.Fatalf("%q in %s: %s before %s comes %s", s, zone, before, at, found)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 9 * * 1-5", "*/5 * * * *", "@hourly", "1,2-3/4 JAN * * SUN-7", "0 0 29 2 */7"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := cron.Parse(text)
		if err != nil {
			return
		}
		at := time.Date(2026, 3, 29, 0, 59, 59, 0, time.UTC)
		zone := mustZone(t, "Europe/Berlin")
		for range 5 {
			next := e.Next(at, zone)
			if !next.After(at) || next.Second() != 0 {
				t.Fatalf("%q: after %s comes %s", text, at, next)
			}
			at = next
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, text := range []string{"* * * * *", "0 9 * * 1-5", "0 0 29 2 *"} {
		b.Run(fmt.Sprintf("%q", text), func(b *testing.B) {
			e, zone, at := mustParse(b, text), mustZone(b, "Europe/Berlin"), time.Now()
			for b.Loop() {
				e.Next(at, zone)
			}
		})
	}
}
