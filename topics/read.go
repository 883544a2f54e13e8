package topics

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// MaxRead bounds the messages of one read. There are fewer when they are large, but at least one.
const MaxRead = callMessages

// MaxLast bounds how far before its end a read may begin.
const MaxLast = 1000

// ErrNotRetained says that messages are not kept any more that a read or a replay asked for.
var ErrNotRetained = &errs.Error{Kind: errs.Conflict, Code: "not_retained",
	Message: "The topic does not keep messages any more that come behind this place."}

// Place is where in a log to begin. The zero value: with the oldest message that is kept.
type Place struct {
	After *int64    // behind the message with this sequence number, or where it would be
	Since time.Time // with what was published from then on
	End   bool      // with what will be published
	Last  int       // with so many messages before the end, at most MaxLast; the oldest where there are not so many
}

// after returns the sequence number behind which to begin, and "" for the oldest message.
func (p Place) after() string {
	switch {
	case p.End:
		return fmt.Sprint(int64(maxSequence))
	case p.After != nil:
		return fmt.Sprint(*p.After)
	case !p.Since.IsZero():
		return fmt.Sprint(max(sequenceAt(p.Since)-1, 0))
	}
	return ""
}

// Logged is a message of a topic's log.
type Logged struct {
	ID          engine.ID
	Sequence    int64
	PublishedAt time.Time
	Message     queues.Outgoing
}

// Page is a part of a topic's log.
type Page struct {
	Messages []Logged
	Next     int64 // the sequence number behind which to read on
	Now      time.Time

	first int64 // the sequence number of what was read first, also of what is damaged; 0: nothing was
}

// ReadOptions says what to read of a log.
type ReadOptions struct {
	Place
	Group string        // only messages of this group; "": all
	Limit int           // how many at most, 1 to MaxRead
	Wait  time.Duration // how long to wait for a message where there is none
}

// maxLooks bounds the parts of a log through which one read looks for messages of a group.
const maxLooks = 20

// Read returns messages of a topic's log in their order. There may be none of a group although some come behind Page.Next.
// Who reads keeps the place: Read changes nothing.
func (s *Store) Read(ctx context.Context, t tenants.ID, name string, opt ReadOptions) (Page, error) {
	var page Page
	var over <-chan time.Time
	if opt.Wait > 0 {
		timer := make(chan time.Time, 1)
		stop := s.clock.AfterFunc(opt.Wait, func() { timer <- time.Time{} })
		defer stop.Stop()
		over = timer
	}
	err := s.with(ctx, t, name, func(tp *topic) error {
		if over != nil {
			tp.readers.join(tp)
			defer tp.readers.leave()
		}
		from := opt.Place
		for looks := 1; ; looks++ {
			changed := tp.readers.next()
			var more bool
			var err error
			if page, more, err = tp.part(ctx, from, opt); err != nil || len(page.Messages) > 0 || looks == maxLooks && more {
				return err
			}
			if next := page.Next; more || from.End {
				from = Place{After: &next}
			}
			switch {
			case more:
				continue
			case over == nil:
				return nil
			}
			looks = 0
			select {
			case <-changed:
				continue
			case <-over:
			case <-ctx.Done():
			case <-s.queues.Draining():
			}
			return nil
		}
	})
	return page, err
}

// part reads once, and reports whether there may be more messages behind what it has read.
func (tp *topic) part(ctx context.Context, from Place, opt ReadOptions) (Page, bool, error) {
	if opt.Group == "" {
		page, err := tp.read(ctx, from, opt.Limit)
		return page, page.first > 0, err
	}
	page, err := tp.read(ctx, from, MaxRead)
	more := page.first > 0
	page.Messages = slices.DeleteFunc(page.Messages, func(l Logged) bool { return l.Message.GroupID != opt.Group })
	if len(page.Messages) > opt.Limit {
		page.Messages = page.Messages[:opt.Limit]
		page.Next = page.Messages[opt.Limit-1].Sequence
	}
	return page, more, err
}

func (tp *topic) read(ctx context.Context, from Place, limit int) (Page, error) {
	c := tp.config.Load()
	for range maxStale {
		reply, err := tp.store.engine.Do(ctx, readScript, tp.keys, c.Retention.Milliseconds(), Hold.Milliseconds(), from.after(), limit, from.Last)
		if err != nil {
			return Page{}, err
		}
		list, err := verdict(reply)
		if err != nil {
			return Page{}, err
		}
		if engine.Text(list, 0) == "lost" {
			// Before it refuses it makes sure that the settings are those of now.
			now, _, err := tp.store.load(ctx, tp.keys, nil)
			if err != nil {
				return Page{}, err
			}
			tp.config.Store(now)
			if now.Retention == c.Retention {
				return Page{}, notRetained(engine.Number(list, 3))
			}
			c = now
			continue
		}
		found := parsePage(list[4:])
		page := Page{Now: at(engine.Number(list, 1)), Next: engine.Number(list, 2), Messages: make([]Logged, 0, len(found))}
		if len(found) > 0 {
			page.first, page.Next = found[0].sequence, found[len(found)-1].sequence
		}
		for i := range found {
			if !found[i].damaged {
				page.Messages = append(page.Messages, found[i].logged())
			}
		}
		if from.After != nil {
			page.Next = max(page.Next, *from.After)
		}
		return page, nil
	}
	return Page{}, engine.ErrUnavailable
}

func notRetained(oldest int64) error {
	e := *ErrNotRetained
	if oldest == 0 {
		e.Fix = "Read without after and since to begin with the oldest message that is kept; none is now. To keep messages set message_retention on the topic."
	} else {
		e.Fix = fmt.Sprintf("Begin with after=%020d, behind which the oldest message comes that is kept.", oldest-1)
	}
	return &e
}
