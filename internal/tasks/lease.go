package tasks

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

// entry is a task in the plan of all unfinished ones.
type entry struct{ taskType, tenant, id string }

func (e entry) String() string { return e.taskType + " " + e.tenant + " " + e.id }

func parseEntry(member string) (entry, bool) {
	f := strings.Fields(member)
	if len(f) != 3 {
		return entry{}, false
	}
	return entry{f[0], f[1], f[2]}, true
}

// maxDue bounds how many entries one look at the plan reads: all of ten tenants that have as many as they may.
const maxDue = 10 * MaxUnfinished

// due returns tasks of the types that somebody should look at, those that have waited longest first.
func (s *Store) due(ctx context.Context, types []string) ([]entry, error) {
	args := []any{maxDue}
	for _, t := range types {
		args = append(args, t)
	}
	reply, err := s.engine.Do(ctx, dueScript, []string{planKey}, args...)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	entries := make([]entry, 0, len(list))
	for i := range list {
		if e, ok := parseEntry(word(reply, i)); ok {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// plan has a task looked at after a while, which the plan may not have yet. It returns the time of Redis.
func (s *Store) plan(ctx context.Context, e entry, after time.Duration) (time.Time, error) {
	reply, err := s.engine.Do(ctx, planScript, []string{planKey}, 1, e.String(), after.Milliseconds())
	if err != nil {
		return time.Time{}, fmt.Errorf("plan task %s: %w", e.id, err)
	}
	text, _ := reply.(string)
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, unexpected(reply)
	}
	return instant(ms), nil
}

// replan has tasks looked at after a while, at most 50, unless they have ended.
//
// It may fail: then they are looked at when their leases end, or at the time that was said before.
func (s *Store) replan(ctx context.Context, after time.Duration, list ...entry) {
	args := append(make([]any, 0, 1+2*len(list)), 0)
	for _, e := range list {
		args = append(args, e.String(), after.Milliseconds())
	}
	_, _ = s.engine.Do(ctx, planScript, []string{planKey}, args...) // the engine logs it
}

func (s *Store) unplan(ctx context.Context, e entry) error {
	_, err := s.engine.Do(ctx, unplanScript, []string{planKey}, e.String())
	return err
}

// lease is a task that this server has.
type lease struct {
	entry
	record record
	fence  int64
	save   int64     // number of the last one
	until  time.Time // by the clock of Redis, as of the last save
	cancel bool
}

// claimed is what became of the wish to have a task.
type claimed struct {
	lease *lease // nil: not got
	over  bool   // it has ended; done is the task, or empty when it is gone
	done  record
}

// claim takes the lease on a task for d.
func (s *Store) claim(ctx context.Context, e entry, d time.Duration) (claimed, error) {
	reply, err := s.engine.Do(ctx, claimScript, []string{tasksKey(e.tenant), runsKey(e.tenant)}, e.id, s.engine.Session().Number(), d.Milliseconds())
	if err != nil {
		return claimed{}, err
	}
	switch word(reply, 0) {
	case "none":
		return claimed{over: true}, nil
	case "held":
		return claimed{}, nil
	case "over":
		r, err := parse(word(reply, 1))
		return claimed{over: true, done: r}, err
	case "ok":
		r, err := parse(word(reply, 1))
		return claimed{lease: &lease{entry: e, record: r, fence: number(reply, 2), save: number(reply, 3),
			cancel: word(reply, 4) == "1", until: instant(number(reply, 5))}}, err
	}
	return claimed{}, unexpected(reply)
}

// keep renews the lease with the given fence for d. It reports whether the end of the task was asked for.
func (s *Store) keep(ctx context.Context, e entry, fence int64, d time.Duration) (cancel bool, err error) {
	reply, err := s.engine.Do(ctx, keepScript, []string{runsKey(e.tenant)}, e.id, fence, d.Milliseconds())
	switch {
	case err != nil:
		return false, err
	case word(reply, 0) != "ok":
		return false, ErrLost
	}
	return word(reply, 1) == "1", nil
}

// The ways in which a save leaves the lease.
const (
	keepLease = "keep"
	giveBack  = "give"
	endTask   = "end"
)

// advance saves how far a task has come, with parts of the errors of its last step as keepErrors made them, and keeps the lease for d, gives it back so that
// nobody claims it for d, or ends the task. Without an error l is as saved; with one it is as before.
func (s *Store) advance(ctx context.Context, l *lease, r record, parts []any, how string, d time.Duration) error {
	r.Fence = l.fence
	text, err := r.text()
	if err != nil {
		return err
	}
	args := append([]any{r.ID, text, l.fence, l.save + 1, how, d.Milliseconds()}, parts...)
	reply, err := s.engine.Do(ctx, advanceScript, s.keys(l.tenant)[1:], args...)
	switch {
	case err != nil:
		return fmt.Errorf("save task %s: %w", r.ID, err)
	case word(reply, 0) == "lost":
		return ErrLost
	case word(reply, 0) != "ok":
		return unexpected(reply)
	}
	l.record, l.save = r, l.save+1
	l.cancel = l.cancel || word(reply, 1) == "1"
	l.until = instant(number(reply, 2))
	return nil
}

// word returns a text of a script's answer, or "".
func word(reply any, i int) string {
	list, _ := reply.([]any)
	if i >= len(list) {
		return ""
	}
	text, _ := list[i].(string)
	return text
}

// number returns a whole number of a script's answer, or 0.
func number(reply any, i int) int64 {
	n, _ := strconv.ParseInt(word(reply, i), 10, 64)
	return n
}

func unexpected(reply any) error {
	return engine.ErrBroken.Because(fmt.Errorf("unexpected answer %v", reply))
}
