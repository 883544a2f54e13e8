package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fastHooks is how many webhooks the topic of the mode webhooks has, noisyTopics how many topics noisy-webhooks has.
	fastHooks   = 100
	noisyTopics = 10
	// hookEvents is how many deliveries a second there are to endpoints that answer.
	hookEvents = 500
	// quietHooks and quietEvents are the webhooks of the quiet tenant and their deliveries a second; the noisy one has noise
	// times as many.
	quietHooks  = 20
	quietEvents = 40
	// hooksFor is for how many times the duration deliveries are timed, for one percent of them is few.
	hooksFor = 5
)

// noLoopback says that the server delivers nothing to this machine.
const noLoopback = "the server must be allowed to reach 127.0.0.0/8: SLUICE_EGRESS_ALLOW=127.0.0.0/8 SLUICE_EGRESS_ALLOW_HTTP=true"

// inbox is the endpoint of one webhook, and what came there.
type inbox struct {
	mu   sync.Mutex
	book book
	at   []time.Duration // when each message came first, by its counter; 0: it did not
}

// receiver is where webhooks of a run lead to: an HTTP server on this machine that answers at once. base is when its clock
// began.
type receiver struct {
	base    time.Time
	url     string
	server  *http.Server
	boxes   []*inbox
	arrived atomic.Int64 // messages that came, in each inbox once
}

// receiver opens n inboxes.
func (r *rig) receiver(ctx context.Context, n int) (*receiver, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &receiver{base: time.Now(), url: "http://" + listener.Addr().String()}
	for range n {
		c.boxes = append(c.boxes, &inbox{book: book{padding: padding(r.spec.Size)}})
	}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: answerLimit}
	go func() { _ = c.server.Serve(listener) }()
	return c, nil
}

func (c *receiver) close() { _ = c.server.Close() }

// ServeHTTP takes a delivery to the inbox whose number is the path.
func (c *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxSize+1))
	if err != nil {
		return
	}
	now := time.Since(c.base)
	i, err := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/"))
	if err != nil || i < 0 || i >= len(c.boxes) {
		http.NotFound(w, req)
		return
	}
	b := c.boxes[i]
	b.mu.Lock()
	b.book.deliver(body)
	if d := b.book.got[len(b.book.got)-1]; d != stray {
		for len(b.at) <= d.counter() && d.counter() < maxMessages {
			b.at = append(b.at, 0)
		}
		if b.at[d.counter()] == 0 {
			b.at[d.counter()] = now
			c.arrived.Add(1)
		}
	}
	b.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// settings returns those of the webhook of an inbox.
func (c *receiver) settings(inbox int) string {
	return fmt.Sprintf(`{"endpoint":"%s/%d"}`, c.url, inbox)
}

// dwell adds how long messages took from an instant of each, by its counter, to their arrival in an inbox.
func (b *inbox) dwell(into *histogram, from []time.Duration, first int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := first; i < len(from) && i < len(b.at); i++ {
		if b.at[i] > 0 {
			into.record(max(0, b.at[i]-from[i]))
		}
	}
}

// publisher publishes to one topic and knows when: before each message was sent, and once it was accepted.
type publisher struct {
	*worker
	topic        string
	paths        paths
	boxes        []*inbox
	asked, acked []time.Duration
}

// publishers returns one for each topic, with its share of the inboxes, in their order, and makes their webhooks. Where the server
// may not reach this machine it says so as the reason why the mode is left out, and returns none.
func (r *rig) publishers(topics []string, c *receiver) ([]*publisher, error) {
	each := len(c.boxes) / len(topics)
	list := make([]*publisher, len(topics))
	for i, t := range topics {
		list[i] = &publisher{worker: r.workers[i], topic: t, paths: newPaths(r.target, topicPath(t)), boxes: c.boxes[i*each : (i+1)*each]}
		for k := range each {
			err := r.admin.subscribe(t, fmt.Sprint("h", k), c.settings(i*each+k))
			if err != nil && strings.Contains(err.Error(), "endpoint_not_allowed") {
				r.result.Skipped = noLoopback
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// publish sends n messages, and returns how many were accepted.
func (p *publisher) publish(c *receiver, n int) int {
	p.rig.paths = p.paths // of whoever publishes now: publishers of a rig take turns
	before := time.Since(c.base)
	accepted := p.send(n)
	after := time.Since(c.base)
	for range n {
		p.asked, p.acked = append(p.asked, before), append(p.acked, after)
	}
	return accepted
}

// pace has publishers publish a message in turn, one each period, for a while.
func pace(ctx context.Context, c *receiver, list []*publisher, period, lasts time.Duration) {
	start := time.Now()
	for i := 0; time.Duration(i)*period < lasts && ctx.Err() == nil; i++ {
		sleep(ctx, time.Until(start.Add(time.Duration(i)*period)))
		if p := list[i%len(list)]; !p.gaveUp() {
			p.publish(c, 1)
		}
	}
}

// delivered returns when each inbox has what was accepted of its topic.
func (r *rig) delivered(ctx context.Context, c *receiver, list []*publisher) {
	want := int64(0)
	for _, p := range list {
		want += int64(p.book.accepted() * len(p.boxes))
	}
	_ = r.until(ctx, want, func() (int64, error) { return c.arrived.Load(), nil })
}

// checkInboxes compares what each inbox got with what was published to its topic.
func (r *rig) checkInboxes(list []*publisher) {
	for i, p := range list {
		for _, b := range p.boxes {
			b.mu.Lock()
			books := make([]*worker, i+2) // by sender; the last one is the inbox
			for k := range books {
				books[k] = &worker{}
			}
			books[i], books[i+1].book = p.worker, b.book
			r.result.Check.add(check(books))
			b.mu.Unlock()
		}
	}
}

// onOneTopic has f publish to one topic, each message of which goes to so many endpoints that answer at once.
func (r *rig) onOneTopic(ctx context.Context, hooks int, f func(c *receiver, p *publisher)) error {
	r.checked = true
	c, err := r.receiver(ctx, hooks)
	if err != nil {
		return err
	}
	defer c.close()
	return r.onTopics(1, func(topics []string) error {
		list, err := r.publishers(topics, c)
		if list == nil {
			return err
		}
		f(c, list[0])
		return nil
	})
}

// webhooks: a topic with a hundred endpoints that answer at once. First few messages are published, for the time from the
// confirmed publish to each arrival; then many, for the rate and the CPU of a delivery.
func (r *rig) webhooks(ctx context.Context) error {
	return r.onOneTopic(ctx, fastHooks, func(c *receiver, p *publisher) {
		list := []*publisher{p}
		pace(ctx, c, list, time.Second*fastHooks/hookEvents, r.cfg.WarmUp) // connections are opened
		r.delivered(ctx, c, list)
		first := len(p.acked)
		pace(ctx, c, list, time.Second*fastHooks/hookEvents, hooksFor*r.cfg.Duration)
		r.delivered(ctx, c, list)
		r.restart()
		for _, b := range p.boxes {
			b.dwell(&p.latencies, p.acked, first)
		}
		meter := r.probe.start()
		for left := max(1, r.spec.Messages/fastHooks); left > 0 && !p.gaveUp(); left -= r.spec.Batch {
			p.counted += int64(p.publish(c, min(r.spec.Batch, left)) * fastHooks)
		}
		r.delivered(ctx, c, list)
		r.record(meter.stop())
		r.checkInboxes(list)
	})
}

// webhookLatency: a message each 5 ms to one endpoint that answers at once, from the confirmed publish to its arrival. So few leave the
// CPUs time: what is measured is the way and not a line.
func (r *rig) webhookLatency(ctx context.Context) error {
	return r.onOneTopic(ctx, 1, func(c *receiver, p *publisher) {
		list := []*publisher{p}
		pace(ctx, c, list, time.Second/latencyRate, r.cfg.WarmUp)
		r.delivered(ctx, c, list)
		r.restart()
		first := len(p.acked)
		meter := r.probe.start()
		pace(ctx, c, list, time.Second/latencyRate, hooksFor*r.cfg.Duration)
		r.delivered(ctx, c, list)
		c.boxes[0].dwell(&p.latencies, p.acked, first)
		p.counted = int64(len(p.acked) - first)
		r.record(meter.stop())
		r.checkInboxes(list)
	})
}

// noisyWebhooks: how long messages take to endpoints that answer, from before the publish, without and with one endpoint in
// eleven that never does. The endpoints that hang are hosts of their own, and share the topics of the others.
func (r *rig) noisyWebhooks(ctx context.Context) error {
	r.checked = true
	each := max(1, r.spec.Messages/noisyTopics)
	c, err := r.receiver(ctx, each*noisyTopics)
	if err != nil {
		return err
	}
	defer c.close()
	period := time.Second * time.Duration(each) / hookEvents
	return r.onTopics(noisyTopics, func(topics []string) error {
		list, err := r.publishers(topics, c)
		if list == nil {
			return err
		}
		pace(ctx, c, list, period, max(r.cfg.WarmUp, 2*noisyTopics*period)) // each topic twice
		r.delivered(ctx, c, list)
		measure := func() float64 {
			r.restart()
			first := make([]int, len(list))
			for i, p := range list {
				first[i] = len(p.asked)
			}
			meter := r.probe.start()
			pace(ctx, c, list, period, hooksFor*r.cfg.Duration)
			r.delivered(ctx, c, list)
			for i, p := range list {
				for _, b := range p.boxes {
					b.dwell(&p.latencies, p.asked, first[i])
				}
				p.counted = int64((len(p.asked) - first[i]) * len(p.boxes))
			}
			r.record(meter.stop())
			return r.result.Figures[P99]
		}
		alone := measure()
		hung, err := hang(ctx, each)
		if err != nil {
			r.result.Skipped = "endpoints that hang need addresses of their own: " + err.Error()
			return nil
		}
		defer hung.close()
		for i, address := range hung.addresses { // one in eleven of each topic's
			if err := r.admin.subscribe(topics[i%noisyTopics], fmt.Sprint("hung", i), fmt.Sprintf(`{"endpoint":"http://%s/"}`, address)); err != nil {
				return err
			}
		}
		beside := measure()
		r.note("dwell p99 of %d endpoints %.1f ms alone, %.1f ms beside %d that hang, which took %d connections", len(c.boxes), alone, beside, len(hung.addresses), hung.taken())
		if alone > 0 {
			r.result.Figures[QuietRatio] = beside / alone
		}
		for i := range hung.addresses {
			if err := r.admin.unsubscribe(topics[i%noisyTopics], fmt.Sprint("hung", i)); err != nil {
				return err
			}
		}
		r.checkInboxes(list)
		return nil
	})
}

// hangers are endpoints that take requests and never answer, each at an address of its own.
type hangers struct {
	listeners []net.Listener
	addresses []string

	mu    sync.Mutex
	conns []net.Conn
}

func hang(ctx context.Context, n int) (*hangers, error) {
	h := &hangers{}
	for i := range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.%d.%d:0", 1+i/250, 1+i%250))
		if err != nil {
			h.close()
			return nil, err
		}
		h.listeners, h.addresses = append(h.listeners, l), append(h.addresses, l.Addr().String())
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				h.mu.Lock()
				h.conns = append(h.conns, conn)
				h.mu.Unlock()
			}
		}()
	}
	return h, nil
}

// taken returns how many connections there were.
func (h *hangers) taken() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *hangers) close() {
	for _, l := range h.listeners {
		_ = l.Close()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		_ = c.Close()
	}
}

// fairWebhooks: how long the messages of a tenant take to his endpoints, from before the publish, alone and while another tenant
// has a hundred times as many deliveries, more than the server can do.
func (r *rig) fairWebhooks(ctx context.Context) error {
	r.checked = true
	if r.cfg.OtherKey == "" {
		r.result.Skipped = "needs a key of a second tenant: give --other-key"
		return nil
	}
	target, err := newTarget(r.cfg.URL, r.cfg.OtherKey)
	if err != nil {
		return err
	}
	other := &rig{cfg: r.cfg, target: target, admin: &admin{conn: newConn(target)}, probe: r.probe, spec: r.spec, result: r.result}
	other.addWorkers(1)
	defer other.admin.conn.close()
	defer other.workers[0].close()
	defer context.AfterFunc(ctx, other.abort)()
	c, err := r.receiver(ctx, quietHooks)
	if err != nil {
		return err
	}
	defer c.close()
	crowd, err := r.receiver(ctx, fastHooks)
	if err != nil {
		return err
	}
	defer crowd.close()
	period := time.Second * quietHooks / quietEvents
	return r.onTopics(1, func(topics []string) error {
		list, err := r.publishers(topics, c)
		if list == nil {
			return err
		}
		p := list[0]
		measure := func() float64 {
			r.restart()
			first := len(p.asked)
			pace(ctx, c, list, period, hooksFor*r.cfg.Duration)
			r.delivered(ctx, c, list)
			for _, b := range p.boxes {
				b.dwell(&p.latencies, p.asked, first)
			}
			return p.latencies.milliseconds(0.99)
		}
		pace(ctx, c, list, period, max(r.cfg.WarmUp, 2*period))
		r.delivered(ctx, c, list)
		alone := measure()
		return other.onTopics(1, func(topics []string) error {
			noisy, err := other.publishers(topics, crowd)
			if noisy == nil {
				return err
			}
			flood, stop := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() {
				defer close(done)
				pace(flood, crowd, noisy, time.Second*fastHooks/(quietEvents*noise), modeLimit)
			}()
			sleep(ctx, r.cfg.Duration) // until the backlog is there
			before, at := crowd.arrived.Load(), time.Now()
			beside := measure()
			rate := float64(crowd.arrived.Load()-before) / time.Since(at).Seconds()
			stop()
			<-done
			r.result.Figures[P50], r.result.Figures[P99] = p.latencies.milliseconds(0.5), beside
			if alone > 0 {
				r.result.Figures[QuietRatio] = beside / alone
			}
			r.note("dwell p99 of %d endpoints %.1f ms alone, %.1f ms beside a tenant with %d times as many deliveries, of which %s/s were done", quietHooks, alone, beside, noise, number(rate))
			for kind, n := range other.workers[0].errors {
				r.result.countError("the other tenant: "+kind, n)
			}
			r.checkInboxes(list)
			return nil
		})
	})
}
