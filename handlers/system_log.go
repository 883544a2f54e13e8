package handlers

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/logtail"
)

// How many of the lines that are there a stream of the log shows first, and how long the text may be that is looked for.
const (
	defaultLogLines = 200
	maxLogText      = 200 // characters
)

// LogLine is a line of the log of a server.
type LogLine struct {
	// When it was written. Null where the line is not in the form of the log: something has gone wrong that does not know of it.
	Time  *Instant `json:"time" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	Level string   `json:"level" enums:"debug,info,warn,error" example:"info"`
	// What it says. Of a line that is not in the form of the log: the whole line.
	Message string `json:"message" example:"request"`
	// More about it, in the order of the log. Values are text, whatever the format of the log.
	Fields LogFields `json:"fields" swaggertype:"object,string"`
	// It was longer than 4 KiB, and the end of it is not shown.
	Truncated bool `json:"truncated" example:"false"`
	// The name of the machine of the server whose log it is.
	Server string `json:"server" example:"sluice-1"`
	// How many lines behind the one before were gone before they could be looked at, because the reader was too slow or came too late.
	Skipped int64 `json:"skipped" example:"0"`
	// Another stream with this `cursor` goes on behind the line.
	Cursor string `json:"cursor" example:"QK3ZT5XA-1042"`
}

// LogFields are the fields of a line of the log, in their order.
type LogFields []logtail.Field

// MarshalJSON writes an object.
func (f LogFields) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, one := range f {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(appendString(b, one.Name), ':'), one.Value)
	}
	return append(b, '}'), nil
}

// LogItem is what a line or an event of the stream holds: one of the two.
type LogItem struct {
	Line  LogLine     `json:"line"`
	Event StreamEvent `json:"event"`
}

// tailLog shows what the server logs.
//
//	@Summary		Follow the log of the server as a stream
//	@Description	First the latest lines that match, then those that come, within a fifth of a second. It is the log of the server that answers, which each line names: other servers of the installation have logs of their own, and behind a load balancer another one may answer the next time. It has what that server's log has: not less than `log_level`, no secrets and no bodies, but names of tenants and of what is theirs.
//	@Description
//	@Description	A server keeps its last 1,000 lines, of 512 KiB in all and 4 KiB each, in memory, until it stops. A reader that is so slow that lines are gone before it comes to them is told how many: `skipped`. Whoever connects again with the last `cursor` misses none that is kept. A cursor of another server, or of before a start, is as none.
//	@Description
//	@Description	Each line is a line of the log, or an object with the member `event`. With `Accept: text/event-stream` they are server-sent events of the types `line`, whose id is the cursor, and `end`. Each 15 seconds in which nothing else comes there is an empty line, or a comment.
//	@ID				tailLog
//	@Tags			operators
//	@Param			level			query		string		false	"Only lines of this level and above"	Enums(debug, info, warn, error)	default(debug)
//	@Param			q				query		string		false	"Only lines with this text in their message or in a field, written as name=value. Upper and lower case are the same"	maxlength(200)
//	@Param			limit			query		int			false	"How many of the lines that match already come first; not with cursor"	minimum(0)	maximum(1000)	default(200)
//	@Param			cursor			query		string		false	"Go on behind the line with this cursor"	maxlength(32)
//	@Param			Last-Event-ID	header		string		false	"The same as cursor, and comes before it: browsers send it when they connect again"
//	@Success		200				{object}	LogItem		"Lines and events, until one side ends it"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		415				{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/system/log [get]
func (a *API) tailLog(c echo.Context) error {
	t, cursor, err := logTailOf(c)
	if err != nil {
		return err
	}
	leave, err := a.enterStream(c)
	if err != nil {
		return err
	}
	defer leave()
	t.follower, err = a.Host.FollowLog(cursor)
	if errors.Is(err, logtail.ErrCursor) {
		return placeCursor(c, queryFault("cursor", "invalid", "must be the cursor of a line of the log"))
	}
	if err != nil {
		return err
	}
	defer t.follower.Close()
	if !t.follower.Resumed() { // before the answer begins: what comes from then on is new
		t.first = t.take()
		t.first = t.first[max(0, len(t.first)-t.limit):]
	}
	// Not a line of the log for each line that is shown: there is one for the request, and one here, when it is over.
	err = a.follow(c, t.follower.Changed(), t.show)
	a.Logger.Debug("a tail of the log has ended", "error", err)
	return nil
}

// logTail is a stream of the log.
type logTail struct {
	follower *logtail.Follower
	level    slog.Level
	text     string         // in lower case
	limit    int            // of the lines that are there already
	first    []logtail.Line // of these, as long as they were not shown
	skipped  int64          // since the last line that was shown
}

// logTailOf returns what is asked for, and behind which line.
func logTailOf(c echo.Context) (t *logTail, cursor string, err error) {
	t = &logTail{}
	q, err := readQuery(c, "level", "q", "limit", "cursor")
	if err != nil {
		return nil, "", err
	}
	level, err := q.choice("level", "debug", "info", "warn", "error")
	if err != nil {
		return nil, "", err
	}
	if err := t.level.UnmarshalText([]byte(level)); err != nil {
		return nil, "", err
	}
	if utf8.RuneCountInString(q.text("q")) > maxLogText {
		return nil, "", queryFault("q", "too_long", fmt.Sprintf("must be at most %d characters", maxLogText))
	}
	t.text = strings.ToLower(q.text("q"))
	if t.limit, err = q.number("limit", defaultLogLines, 0, logtail.MaxLines); err != nil {
		return nil, "", err
	}
	last, err := lastEvent(c)
	switch {
	case err != nil:
		return nil, "", err
	case last != "":
		return t, last, nil
	case q.has("cursor") && q.has("limit"):
		return nil, "", queryFault("limit", "contradiction", "must be absent with a cursor")
	case q.has("cursor") && q.text("cursor") == "":
		return nil, "", queryFault("cursor", "invalid", "must be the cursor of a line of the log")
	}
	return t, q.text("cursor"), nil
}

// take returns the lines that match of those that have come.
func (t *logTail) take() []logtail.Line {
	lines, gone := t.follower.Take()
	t.skipped += gone
	return slices.DeleteFunc(lines, func(l logtail.Line) bool { return !t.matches(&l) })
}

// show writes the lines that match.
func (t *logTail) show(s *stream) error {
	matching := append(t.first, t.take()...)
	t.first = nil
	for i := range matching {
		l := &matching[i]
		text, err := marshal(LogLine{Time: instant(l.Time), Level: levelName(l.Level), Message: l.Message, Fields: l.Fields, Truncated: l.Cut,
			Server: t.follower.Server(), Skipped: t.skipped, Cursor: l.Cursor})
		if err != nil {
			return final{err}
		}
		if err := s.item("line", l.Cursor, func(b []byte) []byte { return append(b, text[:len(text)-1]...) }); err != nil {
			return broken{err}
		}
		t.skipped = 0
	}
	if len(matching) == 0 {
		return nil
	}
	return unless(s.flush())
}

func (t *logTail) matches(l *logtail.Line) bool {
	return l.Level >= t.level && (t.text == "" || strings.Contains(strings.ToLower(l.Text()), t.text))
}

// levelName returns the level as the setting log_level has it.
func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}
