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

// parcel is a message that a webhook has or the topic keeps, as it would be sent now, alone.
type parcel struct {
	config *config
	style  *style
	cargo  cargo
	try    int64
}

// parcel returns the message of an entry.
func (s *Store) parcel(ctx context.Context, w topics.Way, entry string) (parcel, error) {
	id := identity{w.Tenant, w.UID}
	if _, ok := sequenceOf(entry); !ok {
		return parcel{}, ErrDeliveryNotFound
	}
	list, err := s.call(ctx, statusScript, id)
	if err != nil {
		return parcel{}, gone(err)
	}
	c, err := s.configOf(id, list)
	if err != nil {
		return parcel{}, err
	}
	if list, err = s.call(ctx, entryScript, id, entry); err != nil {
		return parcel{}, gone(err)
	}
	one := []lent{parseLent(entry, "", engine.Text(list, 1))}
	s.fill(ctx, id, c, one, 1)
	l := &one[0]
	switch {
	case l.message == nil && l.lacks == "":
		return parcel{}, engine.ErrUnavailable // the log could not be read
	case l.message == nil:
		return parcel{}, errNoBody
	case entryOf(l.message.Sequence, w.Topic, l.message.Message.GroupID) != entry:
		return parcel{}, ErrDeliveryNotFound
	}
	last, _, err := s.Attempts(ctx, w, 0, 1, func(a *Attempt) bool { return a.Entry == entry })
	if err != nil {
		return parcel{}, err
	}
	try := int64(1)
	if len(last) > 0 {
		try = last[0].Try
	}
	st, err := s.styleOf(ctx, id.tenant, c)
	g, _ := c.load(one)
	return parcel{c, st, g, try}, err
}

// Show returns the request with which a message would be sent to its endpoint now, alone, signed with the secrets of now. It sends and
// changes nothing.
func (s *Store) Show(ctx context.Context, w topics.Way, entry string) (Shown, error) {
	p, err := s.parcel(ctx, w, entry)
	if err != nil {
		return Shown{}, err
	}
	c := p.config
	r := c.request(p.style, p.cargo, p.try, s.clock.Now())
	out := Shown{Method: r.Method, URL: r.URL, Header: r.Header, Body: r.Body, Identity: c.identity != nil}
	for name := range c.header {
		out.Header[name] = slices.Repeat([]string{Masked}, len(c.header[name]))
	}
	if c.tokens != nil {
		out.Header.Set("Authorization", Masked)
	}
	return out, nil
}

// TryElsewhere sends the message of an entry to another URL, now and once, as its endpoint would get it: signed, but without what users add
// to the headers, credentials and a certificate of the client, which are the endpoint's alone. It changes nothing, and no log has it.
func (s *Store) TryElsewhere(ctx context.Context, w topics.Way, entry, url string) (Attempt, error) {
	url, err := s.checkURL("/url", url)
	if err != nil {
		return Attempt{}, err
	}
	p, err := s.parcel(ctx, w, entry)
	if err != nil {
		return Attempt{}, err
	}
	bare := *p.config // the one that is shared stays as it is
	bare.endpoint.URL, bare.header, bare.hidden, bare.tokens, bare.identity = url, nil, nil, nil, nil
	host := hostOf(url)
	if !s.pusher.beginTest(w.Tenant, host) {
		return Attempt{}, ErrBusy
	}
	defer s.pusher.endTest(w.Tenant, host)
	now := s.clock.Now()
	res, a, err := s.do(ctx, &bare, bare.request(p.style, p.cargo, p.try, now), now)
	v := judge(res, err, bare.endpoint.Terminal, now)
	a.Entry, a.MessageID, a.Try, a.Outcome = entry, "msg_"+p.cargo.messages[0].ID.String(), p.try, Tested
	if v.outcome != done {
		a.Code, a.Error = v.code, v.words
	}
	return a, nil
}
