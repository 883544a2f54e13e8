// Package cron tells when a cron expression is due in a time zone, also where the clocks change.
package cron

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // so that time zones are known on machines that have none
)

// MaxLength bounds an expression, in bytes.
const MaxLength = 256

// Expression is a cron expression of five fields: minute, hour, day of the month, month, day of the week. Each bit of a
// field stands for a value. The zero value is never due.
type Expression struct {
	minutes, hours, days, months, weekdays uint64

	// eitherDay says that a day is right by its number or by its weekday: both fields limit it. Otherwise it must be
	// right by both.
	eitherDay bool
}

// field is what one of the five may hold.
type field struct {
	name      string
	low, high int
	names     []string // of the values from low on; nil for none
}

var (
	monthNames   = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	weekdayNames = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}

	// fields in their order. 7 is Sunday too.
	fields = [...]field{
		{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day of the month", 1, 31, nil},
		{"month", 1, 12, monthNames}, {"day of the week", 0, 7, weekdayNames},
	}

	macros = map[string]string{
		"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
		"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
	}
)

const allHours = 1<<24 - 1

// horizon is how far Next looks, in years: longer than any day that comes at all takes to come again.
const horizon = 100

// Parse reads an expression: five fields of numbers or names, ranges, lists, * and steps, or one of @yearly, @monthly,
// @weekly, @daily and @hourly. Errors are for the person who wrote it. One that is never due is an error.
func Parse(text string) (Expression, error) {
	var e Expression
	if len(text) > MaxLength {
		return e, fmt.Errorf("it has %d characters, at most %d are read", len(text), MaxLength)
	}
	parts := strings.Fields(text)
	if len(parts) == 1 && strings.HasPrefix(parts[0], "@") {
		long, ok := macros[strings.ToLower(parts[0])]
		if !ok {
			return e, fmt.Errorf("%.20q is not known: there are @yearly, @monthly, @weekly, @daily and @hourly", parts[0])
		}
		parts = strings.Fields(long)
	}
	if len(parts) != len(fields) {
		return e, fmt.Errorf("it has %d fields, not 5: minute, hour, day of the month, month, day of the week", len(parts))
	}
	for i, set := range []*uint64{&e.minutes, &e.hours, &e.days, &e.months, &e.weekdays} {
		var err error
		if *set, err = fields[i].parse(parts[i]); err != nil {
			return Expression{}, fmt.Errorf("%s: %w", fields[i].name, err)
		}
	}
	e.weekdays = (e.weekdays | e.weekdays>>7) & 0x7f
	e.eitherDay = parts[2][0] != '*' && parts[4][0] != '*'
	if e.Next(time.Unix(0, 0), time.UTC).IsZero() {
		return Expression{}, errors.New("there is no such day")
	}
	return e, nil
}

// parse reads a list of ranges.
func (f field) parse(text string) (uint64, error) {
	set := uint64(0)
	for part := range strings.SplitSeq(text, ",") {
		one, err := f.parseRange(part)
		if err != nil {
			return 0, err
		}
		set |= one
	}
	return set, nil
}

// parseRange reads *, a value or two with - between them, each with a step behind / or none.
func (f field) parseRange(text string) (uint64, error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		var err error
		if step, err = number(stepText); err != nil || step < 1 || step > f.high {
			return 0, fmt.Errorf("the step %.20q is not a number from 1 to %d", stepText, f.high)
		}
	}
	low, high := f.low, f.high
	if span != "*" {
		first, last, ranged := strings.Cut(span, "-")
		var err error
		if low, err = f.value(first); err != nil {
			return 0, err
		}
		switch {
		case ranged:
			if high, err = f.value(last); err != nil {
				return 0, err
			}
			if high == 0 && low > 0 && f.high == 7 {
				high = 7 // FRI-SUN
			}
		case !stepped:
			high = low
		}
		if low > high {
			return 0, fmt.Errorf("the range %.20q ends before it begins", span)
		}
	}
	set := uint64(0)
	for v := low; v <= high; v += step {
		set |= 1 << v
	}
	return set, nil
}

// value reads a number or a name.
func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(name, text) {
			return f.low + i, nil
		}
	}
	n, err := number(text)
	if err != nil || n < f.low || n > f.high {
		return 0, fmt.Errorf("%.20q is not from %d to %d", text, f.low, f.high)
	}
	return n, nil
}

// number reads ASCII digits.
func number(text string) (int, error) {
	if text == "" || text[0] < '0' || text[0] > '9' {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(text)
}

// Next returns when e is due for the first time after an instant, on the clocks of zone, and the zero time when that is
// not within a hundred years.
//
// Where the clocks change, an expression that names hours is due once for each local time that it means: at the first
// instant of a local time that occurs twice, and at the instant behind the gap for one that does not occur. One that is
// due in every hour of the day takes each hour as it comes, so its rhythm goes on.
func (e Expression) Next(after time.Time, zone *time.Location) time.Time {
	wall := after.In(zone)
	limit := wall.Year() + horizon
	if e.hours == allHours {
		return e.nextMinute(wall, limit)
	}
	// Local times as if they were in UTC, where none is missing and none comes twice.
	for local := naive(wall).Truncate(time.Minute); ; local = local.Add(time.Minute) {
		if local = e.nextLocal(local, limit); local.IsZero() {
			return local
		}
		if at := instant(local, zone); at.After(after) {
			return at
		}
	}
}

// nextMinute returns the first whole minute after wall whose local time is right.
func (e Expression) nextMinute(wall time.Time, limit int) time.Time {
	t := wall.Add(time.Minute - time.Duration(wall.Second())*time.Second - time.Duration(wall.Nanosecond()))
	for t.Year() <= limit {
		if !e.day(t) {
			year, month, day := t.Date()
			midnight := e.nextLocal(time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC), limit)
			if midnight.IsZero() {
				return midnight
			}
			year, month, day = midnight.Date()
			t = later(t.Add(time.Minute), instant(time.Date(year, month, day, 0, 0, 0, 0, time.UTC), t.Location()))
			continue
		}
		wait := bits.TrailingZeros64(e.minutes >> t.Minute())
		if wait == 0 {
			return t
		}
		there := t.Add(time.Duration(min(wait, 60-t.Minute())) * time.Minute)
		if offset(there) != offset(t) {
			there = t.Add(time.Minute)
		}
		t = there
	}
	return time.Time{}
}

// nextLocal returns the first local time from t on that is right, and the zero time for none before the year is over.
func (e Expression) nextLocal(t time.Time, limit int) time.Time {
	for t.Year() <= limit {
		year, month, day := t.Date()
		switch {
		case e.months>>month&1 == 0:
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
		case !e.day(t):
			t = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
		case e.hours>>t.Hour()&1 == 0:
			t = time.Date(year, month, day, t.Hour()+1, 0, 0, 0, time.UTC)
		case e.minutes>>t.Minute() == 0:
			t = time.Date(year, month, day, t.Hour()+1, 0, 0, 0, time.UTC)
		default:
			return t.Add(time.Duration(bits.TrailingZeros64(e.minutes>>t.Minute())) * time.Minute)
		}
	}
	return time.Time{}
}

// day reports whether the date of t is right.
func (e Expression) day(t time.Time) bool {
	date, weekday := e.days>>t.Day()&1 == 1, e.weekdays>>t.Weekday()&1 == 1
	return e.months>>t.Month()&1 == 1 && (date && weekday || e.eitherDay && (date || weekday))
}

// naive returns the local time of t as if it were in UTC.
func naive(t time.Time) time.Time { return t.UTC().Add(time.Duration(offset(t)) * time.Second) }

func offset(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}

// instant returns when the clocks of zone first show a local time, or when they jump over it.
func instant(local time.Time, zone *time.Location) time.Time {
	year, month, day := local.Date()
	t := time.Date(year, month, day, local.Hour(), local.Minute(), 0, 0, zone)
	begin, end := t.ZoneBounds()
	switch shown := naive(t); {
	case shown.After(local):
		return begin
	case shown.Before(local):
		return end
	case begin.IsZero():
		return t
	}
	earlier := local.Add(-time.Duration(offset(begin.Add(-1))) * time.Second)
	if earlier.Before(begin) {
		return earlier.In(zone)
	}
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// zones are those that were asked for: reading one takes longer than all else. There are some 600.
var zones sync.Map // name → *time.Location

// Zone returns a time zone by its name in the IANA database, such as Europe/Berlin. "" is UTC.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("there is no time zone %.60q", name)
	}
	zones.Store(name, z)
	return z, nil
}
