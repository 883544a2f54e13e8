package queues

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/search"
	"github.com/sluicemq/sluice/tenants"
)

// Filter says which messages are meant, in the search language.
type Filter = search.Filter[Message]

// ParseFilter reads a filter. Its error points at the fault and has the code "filter_invalid".
func ParseFilter(text string) (*Filter, error) { return language.Parse(text) }

// messagePrefix stands before an id wherever a person sees it.
const messagePrefix = "msg_"

// language is what a filter can ask about a message. A new field is one line here, and one in docs/search.md.
var language = &search.Language[Message]{
	Fields: []search.Field[Message]{
		{Name: "id", Text: func(m *Message) string { return messagePrefix + m.ID.String() }},
		{Name: "state", Text: func(m *Message) string { return string(m.State) }, Words: []string{string(Available), string(InFlight), string(Delayed)}},
		{Name: "age", Since: func(m *Message) time.Time { return m.SentAt }},
		{Name: "receives", Count: func(m *Message) int64 { return int64(m.ReceiveCount) }},
		{Name: "failures", Count: func(m *Message) int64 { return int64(m.FailureCount) }},
		{Name: "priority", Count: func(m *Message) int64 { return int64(m.Priority) }},
		{Name: "size", Size: func(m *Message) int64 { return int64(len(m.Body)) }},
		{Name: "content_type", Text: func(m *Message) string { return m.ContentType }},
		{Name: "sent_at", Time: func(m *Message) time.Time { return m.SentAt }},
		{Name: "first_received_at", Time: func(m *Message) time.Time { return m.FirstReceivedAt }},
		{Name: "available_at", Time: func(m *Message) time.Time { return m.AvailableAt }},
		{Name: "expires_at", Time: func(m *Message) time.Time { return m.ExpiresAt }},
		{Name: "lease_expires_at", Time: func(m *Message) time.Time { return m.LeaseExpiresAt }},
		{Name: "held_since", Time: func(m *Message) time.Time { return m.HeldSince }},
		{Name: "held_by", Text: func(m *Message) string { return m.HeldBy }},
		{Name: "group", Text: func(m *Message) string { return m.GroupID }},
		{Name: "reason", Text: func(m *Message) string { return m.reason() }},
		{Name: "source", Text: func(m *Message) string { return m.source() }},
		{Name: "deduplication_id", Text: func(m *Message) string { return m.DeduplicationID }},
		{Name: "traceparent", Text: func(m *Message) string { return m.TraceParent }},
	},
	Body: func(m *Message) string { return m.Body },
	Attribute: func(m *Message, name string) (value string, number, ok bool) {
		for i := range m.Attributes {
			if a := &m.Attributes[i]; a.Name == name {
				return a.Value, strings.HasPrefix(a.Type, "Number"), true
			}
		}
		return "", false, false
	},
}

// reason says why a message is not done yet or not where it was sent, as far as anyone said.
func (m *Message) reason() string {
	switch {
	case m.LastError != "":
		return m.LastError
	case m.Origin == nil:
		return ""
	case m.Origin.Error != "":
		return m.Origin.Error
	}
	return string(m.Origin.Reason)
}

// source is the queue or the topic from which a message came here, or "".
func (m *Message) source() string {
	if m.Origin == nil {
		return ""
	}
	return cmp.Or(m.Origin.Queue, m.Origin.Topic)
}

// The bounds of one search: what it has looked at when it stops. It goes on from the cursor.
const (
	MaxSearch      = 10_000 // messages
	MaxSearchBytes = 16 << 20
	MaxSearchTime  = time.Second
	// maxSearchCalls bounds the calls of Redis where most of a queue is no messages but what deleted ones left behind.
	maxSearchCalls = 4 * MaxSearch / MaxPeek
)

// SearchOptions say which messages to find.
type SearchOptions struct {
	PeekOptions // Limit: matches, up to MaxSearch
	// Match says whether a message is meant; now is the time by the queue's clock. Filter.Match is one.
	Match func(m *Message, now time.Time) bool
}

// Found is what a search found.
type Found struct {
	Page
	// Looked is how many messages it looked at.
	Looked int
}

// Search shows the messages that match without lending them out or changing anything. It stops once it has enough, or at
// the bounds above, and goes on from Next; a part may be empty although more follow. Parts are stable as those of Peek
// are. When ctx ends so does the search.
func (s *Store) Search(ctx context.Context, t tenants.ID, queue string, opt SearchOptions) (Found, error) {
	view, from, err := opt.read(MaxSearch)
	if err != nil {
		return Found{}, err
	}
	var found Found
	err = s.with(ctx, t, queue, func(d *desk) error {
		found, err = d.search(ctx, view, from, opt)
		return err
	})
	return found, err
}

func (d *desk) search(ctx context.Context, view string, from cursor, opt SearchOptions) (Found, error) {
	var found Found
	bytes, end := 0, d.store.clock.Now().Add(MaxSearchTime)
	for range maxSearchCalls {
		if err := ctx.Err(); err != nil {
			return Found{}, engine.ErrUnavailable.Because(err)
		}
		p, err := d.peek(ctx, view, from, min(MaxPeek, MaxSearch-found.Looked))
		if err != nil {
			return Found{}, err
		}
		for i := range p.shown {
			m := &p.shown[i]
			if !opt.Match(&m.Message, p.now) {
				continue
			}
			if found.Messages = append(found.Messages, m.Message); len(found.Messages) == opt.Limit {
				found.Looked += i + 1
				found.Next = m.at.String()
				if i == len(p.shown)-1 {
					found.Next = nextOf(p.next)
				}
				return found, nil
			}
		}
		found.Looked += p.looked
		bytes += p.bytes
		found.Next, from = nextOf(p.next), p.next
		if found.Next == "" || found.Looked >= MaxSearch || bytes >= MaxSearchBytes || !d.store.clock.Now().Before(end) {
			break
		}
	}
	return found, nil
}
