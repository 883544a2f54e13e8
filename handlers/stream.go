package handlers

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

const (
	// streamBeat is how often a stream looks whether its key still holds, so that one that is revoked ends within 5 s.
	streamBeat = 1500 * time.Millisecond
	// keepalive is how long nothing is written to a stream before something is, so that proxies keep it open and a
	// connection that is dead is found.
	keepalive = 15 * time.Second
	// defaultStreamStall is how long one write may take: a reader that is slower than that is gone.
	defaultStreamStall = 20 * time.Second
)

const eventsMedia = "text/event-stream"

// StreamEvent is what a stream says besides messages.
type StreamEvent struct {
	// `end` is the last one of a stream that the server ends. `lease_ending` says that a message has been held for as
	// long as is allowed: it is not counted any more, and available again at `lease_expires_at`.
	Event string `json:"event" enums:"end,lease_ending" example:"end"`
	// Of `end`: `shutting_down`, or the code of the problem, such as `queue_not_found` or `unauthenticated`.
	Reason string `json:"reason,omitempty" example:"shutting_down"`
	// Of `lease_ending`: the message.
	ID string `json:"id,omitempty" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Of `lease_ending`: the delivery.
	ReceiptHandle string `json:"receipt_handle,omitempty" example:"rh_AQYl…"`
	// Of `lease_ending`: when the message becomes available again.
	LeaseExpiresAt *Instant `json:"lease_expires_at,omitempty" swaggertype:"string" format:"date-time"`
}

const (
	eventEnd    = "end"
	eventEnding = "lease_ending"

	reasonDraining = "shutting_down"
)

func leaseEnding(m *queues.Message) *StreamEvent {
	return &StreamEvent{Event: eventEnding, ID: messageID(m.ID), ReceiptHandle: m.ReceiptHandle, LeaseExpiresAt: instant(m.LeaseExpiresAt)}
}

var errTooManyStreams = &errs.Error{Kind: errs.Unavailable, Code: "too_many_streams", RetryAfter: time.Second,
	Message: "The server has as many open streams and waiting receives as it can.",
	Fix:     "Connect again after the time in Retry-After, or start more servers."}

// enterStream counts a stream among the waiting receives, of its tenant and of the server. Call leave when it is over.
func (a *API) enterStream(c echo.Context) (leave func(), err error) {
	out, err := a.Crowd.Enter(RequestOf(c).Tenant, RequestOf(c).terms)
	if err != nil {
		return nil, err
	}
	if a.waiting.Add(1) > int64(a.MaxWaitingReceives) {
		a.waiting.Add(-1)
		out()
		return nil, errTooManyStreams
	}
	return func() {
		a.waiting.Add(-1)
		out()
	}, nil
}

// recheck reports whether the request of a stream would still be let in: streams outlive keys.
func (a *API) recheck(c echo.Context) error {
	req := RequestOf(c)
	again := *req
	err := a.authenticate(c, &again, req.route)
	if err == nil && again.Tenant != req.Tenant {
		return tenants.ErrNotFound // another one has its name now
	}
	return err
}

// passing reports whether an error is one of the moment: the storage does not answer.
func passing(err error) bool {
	kind := errs.KindOf(err)
	return (kind == errs.Unavailable || kind == errs.Unknown) && !errors.Is(err, queues.ErrDataLost) && !errors.Is(err, topics.ErrDataLost)
}

// sink is where a stream goes.
type sink interface {
	// message writes a message, which goes out with the next flush.
	message(m *queues.Message) error
	flush() error
	event(e *StreamEvent) error
	// beat is called every streamBeat. It writes something when nothing was written for keepalive.
	beat() error
}

// pulse ticks every streamBeat, by the clock of the API.
type pulse struct {
	c chan struct{}

	mu    sync.Mutex
	clock clock.Clock
	timer clock.Timer
	ended bool
}

func newPulse(c clock.Clock) *pulse {
	p := &pulse{c: make(chan struct{}, 1), clock: c}
	p.arm()
	return p
}

func (p *pulse) arm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.timer = p.clock.AfterFunc(streamBeat, func() {
		select {
		case p.c <- struct{}{}:
		default: // the last one was not noticed yet
		}
		p.arm()
	})
}

func (p *pulse) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.timer.Stop()
}

// stream is an answer that goes on, in lines of JSON or server-sent events.
type stream struct {
	api      *API
	c        echo.Context
	control  *http.ResponseController
	events   bool
	receipts string // address of the queue's receipts with a slash behind it
	buf      *buffer
	last     time.Time // when something was written
}

// openStream begins the answer. From here on nothing can be refused. Call release when it is over.
func (a *API) openStream(c echo.Context) (*stream, error) {
	_, _, name := scope(c)
	s := &stream{api: a, c: c, control: http.NewResponseController(c.Response().Writer), receipts: a.link("/v1/queues/" + name + "/receipts/"), buf: getBuffer()}
	media := linesMedia
	if s.events = strings.Contains(c.Request().Header.Get("Accept"), eventsMedia); s.events {
		media = eventsMedia
	}
	h := c.Response().Header()
	h.Set("Content-Type", media)
	h.Set("X-Accel-Buffering", "no") // nginx would collect events
	h["X-Content-Type-Options"] = noSniff
	// The listener's time-outs are those of ordinary requests: one for reading would end the stream although there is
	// nothing to read.
	_ = s.control.SetReadDeadline(time.Time{})
	c.Response().WriteHeader(http.StatusOK)
	return s, s.flush()
}

func (s *stream) release() { s.buf.release() }

// write writes a part of the stream. A reader that does not take it in time is gone.
func (s *stream) write(b []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.api.StreamStall))
	s.last = s.api.Clock.Now()
	s.api.charge(s.c, 0, len(b))
	_, err := s.c.Response().Write(b)
	return err
}

func (s *stream) flush() error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.api.StreamStall))
	if err := s.control.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// item writes one value. id is that of a server-sent event, or "".
func (s *stream) item(name, id string, value func([]byte) []byte) error {
	b := s.buf.b[:0]
	if s.events {
		b = append(append(b, "event: "...), name...)
		if id != "" {
			b = append(append(b, "\nid: "...), id...)
		}
		b = append(b, "\ndata: "...)
	}
	b = append(value(b), '\n')
	if s.events {
		b = append(b, '\n')
	}
	s.buf.b = b
	return s.write(b)
}

func (s *stream) message(m *queues.Message) error {
	return s.item("message", "", func(b []byte) []byte { return appendReceived(b, m, s.receipts, false) })
}

func (s *stream) event(e *StreamEvent) error {
	text, err := marshal(e)
	if err != nil {
		return err
	}
	if err := s.item(e.Event, "", func(b []byte) []byte { return append(b, text[:len(text)-1]...) }); err != nil {
		return err
	}
	return s.flush()
}

func (s *stream) beat() error {
	if s.api.Clock.Now().Sub(s.last) < keepalive {
		return nil
	}
	line := "\n"
	if s.events {
		line = ": keepalive\n\n"
	}
	if err := s.write([]byte(line)); err != nil {
		return err
	}
	return s.flush()
}

// end tells the reader why the stream is over, and returns the cause, for the log.
func (a *API) end(s sink, reason string, err error) error {
	if werr := s.event(&StreamEvent{Event: eventEnd, Reason: reason}); werr != nil {
		return werr
	}
	return err
}

// flow is what differs between streams: where their items come from.
type flow struct {
	changed <-chan struct{}    // there is something to take
	pull    func()             // asks for more; may be nil
	take    func() error       // writes what there is. An error that passes is tried again
	replies <-chan []byte      // what else is to be written; may be nil
	reply   func([]byte) error // writes it
}

// broken says that the reader has gone, and final that the stream is over, although such an error passes elsewhere.
type (
	broken struct{ error }
	final  struct{ error }
)

func (e final) Unwrap() error { return e.error }

// unless returns err as broken.
func unless(err error) error {
	if err == nil {
		return nil
	}
	return broken{err}
}

// run keeps a stream going until it is over, and returns why; nil: because the server stops.
func (a *API) run(c echo.Context, gone <-chan struct{}, s sink, f flow) error {
	pulse := newPulse(a.Clock)
	defer pulse.end()
	for {
		select {
		case <-a.Queues.Draining():
			return a.end(s, reasonDraining, nil)
		default:
		}
		if f.pull != nil {
			f.pull()
		}
		var err error
		select {
		case <-gone:
			return errGone
		case <-a.Queues.Draining():
		case <-f.changed:
			err = f.take()
		case reply := <-f.replies:
			err = unless(f.reply(reply))
		case <-pulse.c:
			if err = a.recheck(c); err == nil {
				err = f.take() // again, where the storage did not answer before
			}
			if err == nil || passing(err) {
				err = unless(s.beat())
			}
		}
		if err == nil {
			continue
		}
		if b, ok := errors.AsType[broken](err); ok {
			return b.error
		}
		if _, over := errors.AsType[final](err); over || !passing(err) {
			return a.end(s, asError(err).Code, err)
		}
	}
}
