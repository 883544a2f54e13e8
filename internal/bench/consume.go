package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// consumeAhead is how many messages a consumer has at most: the default of a stream.
	consumeAhead = 10
	// consumeCredit is what a consumer asks for at once. It asks again when half of it is used up.
	consumeCredit = 1000
)

// consume: the backlog is made first and is not part of the figures. Every worker takes from it by a websocket.
func (r *rig) consume(ctx context.Context) error {
	total := r.fill(r.spec.Messages)
	meter := r.probe.start()
	err := r.consumeAll(ctx, total)
	r.record(meter.stop())
	return err
}

// consumeAll takes and acks total messages. It fails when none has come for a while although some are missing.
func (r *rig) consumeAll(ctx context.Context, total int) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var acked atomic.Int64
	go func() {
		last := int64(-1)
		for n := acked.Load(); n > last && ctx.Err() == nil; n = acked.Load() {
			last = n
			sleep(ctx, r.cfg.dryLimit)
		}
		stop()
	}()
	r.each(func(w *worker) {
		err := w.consume(ctx, func() {
			if acked.Add(1) == int64(total) {
				stop()
			}
		})
		if err != nil && ctx.Err() == nil {
			w.fail("consume", response{}, err)
		}
	})
	if n := int(acked.Load()); n < total {
		return fmt.Errorf("only %s of %s stored messages were consumed", thousands(float64(n)), thousands(float64(total)))
	}
	return nil
}

var errConsume = errors.New("a request on the stream was refused")

// consume takes messages by a websocket and acks each, until ctx ends. acked is called for each confirmation.
func (w *worker) consume(ctx context.Context, acked func()) error {
	t, scheme := w.rig.target, "http://"
	transport := &http.Transport{}
	if t.tls != nil {
		scheme, transport.TLSClientConfig = "https://", t.tls.Clone()
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // websockets need HTTP/1.1
	}
	url := fmt.Sprintf("%s%s%s/v1/queues/%s/ws?max_in_flight=%d&visibility_timeout=%d", scheme, t.address, t.prefix, w.rig.queue, consumeAhead, leaseSeconds)
	ws, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Authorization": {t.bearer}},
	})
	if resp != nil && resp.Body != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		return err
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(maxAnswer)
	credit, since := 0, make([]time.Time, 0, consumeAhead)
	for {
		if credit < consumeCredit/2 {
			if err := ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"op":"credit","n":%d}`, consumeCredit/2)); err != nil {
				return err
			}
			credit += consumeCredit / 2
		}
		_, frame, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		op, m, err := scanFrame(frame)
		switch {
		case err != nil:
			return err
		case string(op) == "message":
			credit--
			since = append(since, time.Now())
			w.book.deliver(m.body)
			w.body = append(append(append(w.body[:0], `{"op":"ack","receipt_handle":"`...), m.handle...), `"}`...)
			if err := ws.Write(ctx, websocket.MessageText, w.body); err != nil {
				return err
			}
		case string(op) == "acked" && len(since) > 0: // in the order of the acks
			w.finish(since[0], 1)
			since = append(since[:0], since[1:]...)
			acked()
		default:
			return fmt.Errorf("%w: %.200s", errConsume, frame)
		}
	}
}
