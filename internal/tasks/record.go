package tasks

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/engine"
)

// record is how a task lies in Redis. Times are milliseconds since 1970, durations milliseconds.
type record struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Status   Status   `json:"status"`
	Queue    string   `json:"queue,omitempty"`
	Scope    string   `json:"scope,omitempty"`
	Total    int64    `json:"total,omitempty"`
	Looked   int64    `json:"looked,omitempty"`
	Done     int64    `json:"done,omitempty"`
	Failed   int64    `json:"failed,omitempty"`
	Worked   int64    `json:"worked,omitempty"`
	Error    *Failure `json:"error,omitempty"`
	By       string   `json:"by,omitempty"`
	Created  int64    `json:"created"`
	Started  int64    `json:"started,omitempty"`
	Finished int64    `json:"finished,omitempty"`

	// What only the runner needs to know.
	Params  string `json:"params,omitempty"`
	State   string `json:"state,omitempty"`
	Steps   int64  `json:"steps,omitempty"` // that were saved
	Limit   int64  `json:"limit,omitempty"`
	MaxRate int    `json:"max_rate,omitempty"`
	Errors  int    `json:"errors,omitempty"` // how many are kept
	Tries   int    `json:"tries,omitempty"`  // failures since the last step that did not fail
	Fence   int64  `json:"fence,omitempty"`  // of the last save, so that a task that ended shows who ended it
}

func newRecord(t Task) record {
	return record{ID: t.ID, Type: t.Type, Status: t.Status, Queue: t.Queue, Scope: t.Scope,
		Total: t.Progress.Total, Looked: t.Progress.Looked, Done: t.Progress.Done, Failed: t.Progress.Failed,
		Worked: t.Progress.Worked.Milliseconds(), Error: t.Error, By: t.CreatedBy,
		Created: millis(t.CreatedAt), Started: millis(t.StartedAt), Finished: millis(t.FinishedAt)}
}

func (r record) task() Task {
	return Task{ID: r.ID, Type: r.Type, Status: r.Status, Queue: r.Queue, Scope: r.Scope,
		Progress: Progress{Total: r.Total, Looked: r.Looked, Done: r.Done, Failed: r.Failed,
			Worked: time.Duration(r.Worked) * time.Millisecond},
		Error: r.Error, CreatedBy: r.By, MaxRate: r.MaxRate, CreatedAt: instant(r.Created), StartedAt: instant(r.Started), FinishedAt: instant(r.Finished)}
}

// text returns the record as it is stored.
func (r record) text() (string, error) {
	raw, err := json.Marshal(r)
	return string(raw), err
}

func parse(text string) (record, error) {
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, engine.ErrBroken.Because(fmt.Errorf("%w: %w", errRecord, err))
	}
	return r, nil
}

// shown reads a stored task and whether its end was asked for.
func shown(text, cancel string) (Task, error) {
	r, err := parse(text)
	if err != nil {
		return Task{}, err
	}
	if r.Status == Running && cancel == "1" {
		r.Status = Cancelling
	}
	return r.task(), nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// itemRecord is how an error of an item lies in Redis, one a line.
type itemRecord struct {
	Item    string `json:"i"`
	Code    string `json:"c"`
	Message string `json:"m"`
	At      int64  `json:"t"`
}

// errorsPerPart is how many errors lie in one field of the HASH; ERROR_PARTS of lua/lib/room.lua times this is MaxErrors.
const errorsPerPart = 100

// keepErrors returns numbers of parts and what is to be added to them, in turn, for those of list that are still kept.
func (r *record) keepErrors(list []ItemError, now time.Time) ([]any, error) {
	var parts []any
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, (r.Errors-1)/errorsPerPart, text.String())
			text.Reset()
		}
	}
	for _, e := range list {
		if r.Errors == MaxErrors {
			break
		}
		if e.At.IsZero() {
			e.At = now
		}
		line, err := json.Marshal(itemRecord{e.Item, e.Code, shorten(e.Message), e.At.UnixMilli()})
		if err != nil {
			return nil, err
		}
		text.Write(line)
		text.WriteByte('\n')
		if r.Errors++; r.Errors%errorsPerPart == 0 {
			flush()
		}
	}
	flush()
	return parts, nil
}

func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	s = s[:maxMessage]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

func parseErrors(parts []any) ([]ItemError, error) {
	list := []ItemError{}
	for _, p := range parts {
		text, _ := p.(string)
		for line := range strings.Lines(text) {
			var r itemRecord
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				return nil, engine.ErrBroken.Because(fmt.Errorf("%w: %w", errRecord, err))
			}
			list = append(list, ItemError{Item: r.Item, Code: r.Code, Message: r.Message, At: instant(r.At)})
		}
	}
	return list, nil
}
