package webhook

import (
	"context"
	"net/http"
	"slices"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
)

// Shown is a request as an endpoint would get it now.
type Shown struct {
	Method string
	URL    string
	Header http.Header // with Masked for each value that may not be shown
	Body   []byte
	// Identity reports whether the connection shows a certificate of the client.
	Identity bool
}

// errNoBody says that a message is not there any more.
var errNoBody = &errs.Error{Kind: errs.NotFound, Code: ErrDeliveryNotFound.Code, Message: "The message is not kept any more: it was delivered, and the topic keeps it no longer.",
	Fix: "To keep messages longer set message_retention on the topic."}

// Show returns the request with which a message would be sent to its endpoint now, alone, signed with the secrets of now. It sends and
// changes nothing.
func (s *Store) Show(ctx context.Context, w topics.Way, entry string) (Shown, error) {
	id := identity{w.Tenant, w.UID}
	if _, ok := sequenceOf(entry); !ok {
		return Shown{}, ErrDeliveryNotFound
	}
	list, err := s.call(ctx, statusScript, id)
	if err != nil {
		return Shown{}, gone(err)
	}
	c, err := s.configOf(id, list)
	if err != nil {
		return Shown{}, err
	}
	if list, err = s.call(ctx, entryScript, id, entry); err != nil {
		return Shown{}, gone(err)
	}
	one := []lent{parseLent(entry, "", engine.Text(list, 1))}
	s.fill(ctx, id, c, one, 1)
	l := &one[0]
	switch {
	case l.message == nil && l.lacks == "":
		return Shown{}, engine.ErrUnavailable // the log could not be read
	case l.message == nil:
		return Shown{}, errNoBody
	case entryOf(l.message.Sequence, w.Topic, l.message.Message.GroupID) != entry:
		return Shown{}, ErrDeliveryNotFound
	}
	last, _, err := s.Attempts(ctx, w, 0, 1, func(a *Attempt) bool { return a.Entry == entry })
	if err != nil {
		return Shown{}, err
	}
	try := int64(1)
	if len(last) > 0 {
		try = last[0].Try
	}
	st, err := s.styleOf(ctx, id.tenant, c)
	if err != nil {
		return Shown{}, err
	}
	g, _ := c.load(one)
	r := c.request(st, g, try, s.clock.Now())
	out := Shown{Method: r.Method, URL: r.URL, Header: r.Header, Body: r.Body, Identity: c.identity != nil}
	for name := range c.header {
		out.Header[name] = slices.Repeat([]string{Masked}, len(c.header[name]))
	}
	if c.tokens != nil {
		out.Header.Set("Authorization", Masked)
	}
	return out, nil
}
