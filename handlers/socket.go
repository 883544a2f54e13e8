package handlers

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

const (
	// maxFrame bounds a frame of a client, in bytes. A longer one ends the connection. With maxRequests it bounds what a
	// client that does not read its replies makes the server keep: 1 MiB.
	maxFrame = 4 << 10
	// maxCredit bounds how many messages a client can have asked for and not got.
	maxCredit = 1000
	// maxRequests is how many requests of a client wait to be carried out. One that sends more faster waits in TCP.
	maxRequests = 256
	// pongWait is how long a client may take to answer a ping.
	pongWait = 15 * time.Second
)

// SocketMessage is a message as a websocket brings it.
type SocketMessage struct {
	Op string `json:"op" enums:"message" example:"message"`
	ReceivedMessage
}

// SocketReply is what else a websocket brings: what became of a request, and events.
type SocketReply struct {
	// `acked`, `returned` and `extended` confirm a request. `error` says that one was not carried out. `lease_ending`
	// and `end` are as in other streams.
	Op string `json:"op" enums:"acked,returned,extended,error,lease_ending,end" example:"acked"`
	// The delivery that it is about.
	ReceiptHandle string `json:"receipt_handle,omitempty" example:"rh_AQYl…"`
	// Of `extended` and `lease_ending`: when the lease ends.
	LeaseExpiresAt *Instant `json:"lease_expires_at,omitempty" swaggertype:"string" format:"date-time"`
	// Of `returned`: when the message is available.
	AvailableAt *Instant `json:"available_at,omitempty" swaggertype:"string" format:"date-time"`
	// Of `lease_ending`: the message.
	ID string `json:"id,omitempty" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Of `end`: `shutting_down`, or the code of the problem.
	Reason string `json:"reason,omitempty" example:"shutting_down"`
	// Of `error`: what is wrong.
	Error *Problem `json:"error,omitempty"`
}

// SocketItem is what a frame of a websocket holds: one of the two.
type SocketItem struct {
	Message SocketMessage `json:"message"`
	Reply   SocketReply   `json:"reply"`
}

// socketRequest is what a client asks for.
type socketRequest struct {
	settlement queues.Settlement
	refused    error // what is wrong with the frame
}

// openSocket consumes by a websocket.
//
//	@Summary		Consume messages by a websocket
//	@Description	The client says how many messages it wants and settles them on the same connection. Each frame is one JSON object of at most 4 KiB.
//	@Description
//	@Description	It sends `{"op":"credit","n":10}` to get ten messages more, `{"op":"ack","receipt_handle":"rh_…"}`, `{"op":"return","receipt_handle":"rh_…","delay":30}` and `{"op":"extend","receipt_handle":"rh_…","visibility_timeout":60}`. It gets `{"op":"message",…}` with the members of a received message, `acked`, `returned` or `extended` for each request that was carried out, and `error` for each that was not. After `end` the server closes the connection.
//	@Description
//	@Description	Leases and the end of the connection are as with `consumeMessages`. A request with an `Origin` is taken only from the server's own host.
//	@ID				openSocket
//	@Tags			consuming
//	@Param			queue				path		string		true	"Name of the queue"
//	@Param			max_in_flight		query		int			false	"How many messages the client holds at most, whatever it asks for"	minimum(1)	maximum(100)	default(100)
//	@Param			visibility_timeout	query		int			false	"Seconds for which a message is lent, and extended, or text such as 5m; default: as the queue says"	minimum(1)	maximum(43200)
//	@Param			heartbeat			query		string		false	"none leaves it to the client to extend leases"	Enums(auto, none)	default(auto)
//	@Param			on_disconnect		query		string		false	"keep leaves messages lent that the client has got, until their leases end"	Enums(return, keep)	default(return)
//	@Param			consumer			query		string		false	"What you call yourself, in printable ASCII: whoever looks at messages in flight sees it as held_by"	maxlength(128)
//	@Success		101					{object}	SocketItem	"Frames, until one side ends it"
//	@Failure		400					{object}	Problem		"The request is malformed"
//	@Failure		404					{object}	Problem		"No such queue"
//	@Failure		415					{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422					{object}	Problem		"A value is not allowed"
//	@Failure		426					{object}	Problem		"The request does not ask for a websocket"
//	@Router			/v1/queues/{queue}/ws [get]
func (a *API) openSocket(c echo.Context) error {
	opt, err := readConsumeOptions(c, queues.MaxReceive)
	if err != nil {
		return err
	}
	if err := checkUpgrade(c); err != nil {
		return err
	}
	leave, err := a.enterStream(c)
	if err != nil {
		return err
	}
	defer leave()
	opt.Metered = true
	ctx, t, name := scope(c)
	consumer, err := a.Queues.Consume(ctx, t, name, opt.ConsumeOptions)
	if err != nil {
		return a.guess(c, err)
	}
	defer func() { consumer.Close(!opt.keep) }()
	conn, err := websocket.Accept(c.Response(), c.Request(), &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return errNoSocket.Because(err)
	}
	conn.SetReadLimit(maxFrame)
	err = a.serveSocket(c, conn, consumer)
	a.Logger.Debug("a websocket has ended", "queue", name, "error", err)
	return nil
}

var (
	errNoSocket = &errs.Error{Kind: errs.Malformed, Code: codeUpgrade,
		Message: "This address speaks websocket, version 13, and the request does not ask for it.",
		Fix:     "Use a websocket client, or POST …/consume for a stream over plain HTTP."}
	errOrigin = &errs.Error{Kind: errs.Forbidden, Code: "origin_not_allowed",
		Message: "Pages of other hosts may not open a websocket here.",
		Fix:     "Connect from a program, or from a page of this host.",
		Fields:  []errs.Field{{Header: "Origin", Code: "not_allowed", Message: "must be this host, or absent"}}}
)

// checkUpgrade refuses what is no request for a websocket, and pages of other hosts: a browser lets them connect
// anywhere.
func checkUpgrade(c echo.Context) error {
	r := c.Request()
	h := r.Header
	if list := h["Origin"]; len(list) > 0 {
		u, err := url.Parse(list[0])
		if err != nil || len(list) > 1 || !strings.EqualFold(u.Host, r.Host) {
			return errOrigin
		}
	}
	key, err := base64.StdEncoding.DecodeString(h.Get("Sec-Websocket-Key"))
	if r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || !hasToken(h["Connection"], "upgrade") || !hasToken(h["Upgrade"], "websocket") ||
		h.Get("Sec-Websocket-Version") != "13" || err != nil || len(key) != 16 {
		c.Response().Header().Set("Upgrade", "websocket")
		return errNoSocket
	}
	return nil
}

// hasToken reports whether a word stands in a list of a header.
func hasToken(lines []string, word string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), word) {
				return true
			}
		}
	}
	return false
}

// serveSocket talks to a client until either side ends it, and returns why. What the client has asked for until then is
// carried out, with or without a reply, before what it holds is given back: one that acks its last message and hangs up
// has acked it.
func (a *API) serveSocket(c echo.Context, conn *websocket.Conn, consumer *queues.Consumer) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Request().Context()))
	defer cancel()
	_, _, name := scope(c)
	s := &socket{api: a, c: c, conn: conn, gone: cancel, buf: getBuffer(), receipts: a.link("/v1/queues/" + name + "/receipts/"), last: a.Clock.Now()}
	defer s.buf.release()
	requests, replies := make(chan socketRequest, maxRequests), make(chan []byte)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		defer close(requests)
		s.read(ctx, consumer, requests)
	})
	wg.Go(func() {
		for r := range requests {
			for _, reply := range s.settle(gather(r, requests)) {
				select {
				case replies <- reply:
				case <-ctx.Done():
				}
			}
		}
	})
	err := a.consume(c, ctx.Done(), s, consumer, flow{replies: replies, reply: s.write})
	s.over.Store(true)
	if s.ended != "" {
		s.farewell()
	}
	cancel()
	_ = conn.CloseNow() // this ends the reading
	wg.Wait()
	return err
}

// gather returns r and what else waits, as much as fits into one call.
func gather(r socketRequest, more <-chan socketRequest) []socketRequest {
	list := []socketRequest{r}
	for len(list) < queues.MaxReceive {
		select {
		case next, ok := <-more:
			if !ok {
				return list
			}
			list = append(list, next)
		default:
			return list
		}
	}
	return list
}

// socket is a websocket that consumes.
type socket struct {
	api      *API
	c        echo.Context
	conn     *websocket.Conn
	gone     func() // ends the connection
	receipts string
	buf      *buffer
	last     time.Time   // when something was written
	ended    string      // what the client was told of the end
	over     atomic.Bool // what comes from now on is not carried out
	pinging  atomic.Bool
}

// read reads frames until the connection ends. It blocks while too many requests wait.
func (s *socket) read(ctx context.Context, consumer *queues.Consumer, requests chan<- socketRequest) {
	for {
		kind, frame, err := s.conn.Read(ctx)
		if err != nil {
			return
		}
		s.api.charge(s.c, len(frame), 0)
		if s.over.Load() {
			continue // until the client has answered the farewell
		}
		r, credit := readFrame(kind, frame)
		if credit > 0 {
			consumer.Grant(credit, maxCredit)
			continue
		}
		select {
		case requests <- r:
		case <-ctx.Done():
			return
		}
	}
}

var errBinaryFrame = &errs.Error{Kind: errs.Malformed, Code: errMalformed.Code, Message: "Frames are JSON in text, and this one is binary."}

// readFrame reads a request: a settlement, or how many messages more the client wants.
func readFrame(kind websocket.MessageType, frame []byte) (r socketRequest, credit int) {
	if kind != websocket.MessageText {
		return socketRequest{refused: errBinaryFrame}, 0
	}
	op, handle := "", ""
	n, timeout, delay, timed := int64(0), time.Duration(-1), time.Duration(0), false
	r.refused = readJSON(frame, func(r *reader) {
		r.object([]string{"op", "n", "receipt_handle", "delay", "visibility_timeout"}, func(key []byte) {
			switch string(key) {
			case "op":
				s, _ := r.str()
				op = string(s)
			case "n":
				n, _ = r.integer(1, maxCredit)
			case "receipt_handle":
				s, _ := r.str()
				handle = string(s)
			case "delay":
				delay, timed = r.duration()
			case "visibility_timeout":
				timeout, _ = r.duration()
			}
		})
		if r.err == nil && len(r.faults) == 0 {
			checkRequest(r, op, handle, n, timeout, delay)
		}
	})
	r.settlement = queues.Settlement{Verb: queues.Ack, ReceiptHandle: handle}
	switch op {
	case "return":
		r.settlement = returned(handle, nil)
		if timed {
			r.settlement = returned(handle, &delay)
		}
	case "extend":
		r.settlement = held(handle, &timeout)
	}
	if r.refused != nil || op != "credit" {
		return r, 0
	}
	return r, int(n)
}

// checkRequest notes what a request lacks.
func checkRequest(r *reader, op, handle string, n int64, timeout, delay time.Duration) {
	fault := func(name, code, message string) {
		r.faults = append(r.faults, errs.Field{Pointer: "/" + name, Code: code, Message: message})
	}
	switch {
	case op != "credit" && op != "ack" && op != "return" && op != "extend":
		fault("op", "not_allowed", "must be one of credit, ack, return, extend")
	case op == "credit" && n == 0:
		fault("n", "required", "must say how many messages more you want")
	case op != "credit" && n != 0:
		fault("n", "contradiction", "must be absent, except with credit")
	case op == "credit" && handle != "":
		fault("receipt_handle", "contradiction", "must be absent with credit")
	case op != "credit" && handle == "":
		fault("receipt_handle", "required", "must name the delivery")
	case op != "return" && delay != 0:
		fault("delay", "contradiction", "must be absent, except with return")
	case op == "extend" && timeout < 0:
		fault("visibility_timeout", "required", "must be 0 to 43200 seconds")
	case op != "extend" && timeout != -1:
		fault("visibility_timeout", "contradiction", "must be absent, except with extend")
	}
}

// settle carries requests out and returns a reply to each.
func (s *socket) settle(list []socketRequest) [][]byte {
	var plain []queues.Settlement
	for _, r := range list {
		if r.refused == nil {
			plain = append(plain, r.settlement)
		}
	}
	ctx, t, name := scope(s.c)
	var results []queues.Settled
	var err error
	if len(plain) > 0 {
		results, err = s.api.Queues.Settle(context.WithoutCancel(ctx), t, name, plain)
	}
	replies, next := make([][]byte, 0, len(list)), 0
	for _, r := range list {
		var done queues.Settled
		if r.refused == nil {
			if r.refused = err; err == nil {
				done, r.refused = results[next], results[next].Err
			}
			next++
		}
		replies = append(replies, s.replyTo(r, done))
	}
	return replies
}

func (s *socket) replyTo(r socketRequest, done queues.Settled) []byte {
	reply := SocketReply{ReceiptHandle: r.settlement.ReceiptHandle}
	switch {
	case r.refused != nil:
		reply.Op, reply.Error = "error", problem(s.c, asError(r.refused))
	case r.settlement.Verb == queues.Ack:
		reply.Op = "acked"
	case r.settlement.Verb == queues.Extend:
		reply.Op, reply.LeaseExpiresAt = "extended", instant(done.LeaseExpiresAt)
	default:
		reply.Op, reply.AvailableAt = "returned", instant(done.AvailableAt)
	}
	text, err := marshal(reply)
	if err != nil {
		return []byte(`{"op":"error"}`)
	}
	return text[:len(text)-1]
}

// write writes a frame. A reader that does not take it in time is gone.
func (s *socket) write(frame []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.api.StreamStall)
	defer cancel()
	s.last = s.api.Clock.Now()
	s.api.charge(s.c, 0, len(frame))
	return s.conn.Write(ctx, websocket.MessageText, frame)
}

func (s *socket) message(m *queues.Message) error {
	b := append(s.buf.b[:0], `{"op":"message",`...)
	head := len(b)
	b = appendReceived(b, m, s.receipts, false)
	s.buf.b = append(b[:head], b[head+1:]...) // without its brace
	return s.write(s.buf.b)
}

func (s *socket) flush() error { return nil } // each frame is

func (s *socket) event(e *StreamEvent) error {
	text, err := marshal(SocketReply{Op: e.Event, Reason: e.Reason, ID: e.ID, ReceiptHandle: e.ReceiptHandle, LeaseExpiresAt: e.LeaseExpiresAt})
	if err != nil {
		return err
	}
	if e.Event == eventEnd {
		s.ended = e.Reason
	}
	return s.write(text[:len(text)-1])
}

// farewell closes the connection as the protocol asks. A client that does not answer in five seconds is cut off.
func (s *socket) farewell() {
	status := websocket.StatusPolicyViolation
	switch s.ended {
	case reasonDraining:
		status = websocket.StatusGoingAway
	case queues.ErrQueueNotFound.Code:
		status = websocket.StatusNormalClosure
	}
	_ = s.conn.Close(status, s.ended)
}

// beat pings a client that has got nothing for keepalive. One that does not answer is gone.
func (s *socket) beat() error {
	if s.api.Clock.Now().Sub(s.last) < keepalive || !s.pinging.CompareAndSwap(false, true) {
		return nil
	}
	s.last = s.api.Clock.Now()
	go func() {
		defer s.pinging.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), pongWait)
		defer cancel()
		if s.conn.Ping(ctx) != nil {
			s.gone()
		}
	}()
	return nil
}
