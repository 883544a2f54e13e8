// Package demo fills a tenant with believable traffic: a small shop, whose orders are placed, paid, mailed about and, some
// of them, fail. It speaks HTTP as any client does.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Shop needs.
type Config struct {
	URL, Key string
	// Rate is orders a second, above 0 and up to 1,000.
	Rate float64
	// Backlog is orders that are placed at once, before the others.
	Backlog int
}

// Shop is one tenant's queues with their producers and consumers.
type Shop struct {
	Config
	client http.Client
	placed atomic.Int64

	mu     sync.Mutex
	random *rand.Rand
}

// The queues of the shop. Nobody consumes reports: it is there to show what that looks like.
const (
	orders   = "orders"
	failed   = "orders-dlq"
	mail     = "mail"
	payments = "payments.fifo"
	reports  = "reports"
	events   = "order-events"
)

// New returns a shop that Open and Run make real.
func New(c Config) *Shop {
	c.URL = strings.TrimSuffix(c.URL, "/")
	return &Shop{Config: c, client: http.Client{Timeout: 30 * time.Second}, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

// Open makes the queues, the topic and its subscriptions, unless they are there.
func (s *Shop) Open(ctx context.Context) error {
	for _, made := range []struct{ path, body string }{
		{"/v1/queues/" + orders, `{"redrive":{"dead_letter_queue":"` + failed + `","max_receives":3},"visibility_timeout":20,"retry":{"backoff":"exponential","delay":2},"labels":{"team":"shop"}}`},
		{"/v1/queues/" + mail, `{"labels":{"team":"crm"}}`},
		{"/v1/queues/" + payments, `{"fifo":{"content_based_deduplication":true},"labels":{"team":"finance"}}`},
		{"/v1/queues/" + reports, `{"labels":{"team":"finance"}}`},
		{"/v1/topics/" + events, `{"message_retention":"1d"}`},
		{"/v1/topics/" + events + "/subscriptions/mail", `{"queue":"` + mail + `"}`},
		{"/v1/topics/" + events + "/subscriptions/large", `{"queue":"` + reports + `","filter_scope":"body","filter_policy":{"total":[{"numeric":[">=",100]}]}}`},
	} {
		if _, err := s.call(ctx, http.MethodPut, made.path, made.body); err != nil {
			return err
		}
	}
	return nil
}

// Remove deletes what Open has made, with all messages.
func (s *Shop) Remove(ctx context.Context) error {
	var failures error
	for _, path := range []string{"topics/" + events, "queues/" + orders, "queues/" + failed, "queues/" + mail, "queues/" + payments, "queues/" + reports} {
		_, err := s.call(ctx, http.MethodDelete, "/v1/"+path, "")
		if answer, ok := errors.AsType[*refusal](err); ok && answer.status == http.StatusNotFound {
			continue
		}
		failures = errors.Join(failures, err)
	}
	return failures
}

// Placed returns how many orders there were so far.
func (s *Shop) Placed() int64 { return s.placed.Load() }

// Run places orders and works on them until ctx ends. It goes on where a request fails, and returns the error of the first
// one that did.
func (s *Shop) Run(ctx context.Context) error {
	var work sync.WaitGroup
	var once sync.Once
	var first error
	note := func(err error) {
		if err != nil && ctx.Err() == nil {
			once.Do(func() { first = err })
			pause(ctx, time.Second)
		}
	}
	for range s.Backlog {
		note(s.place(ctx))
	}
	work.Go(func() {
		for ctx.Err() == nil {
			note(s.place(ctx))
			// Customers do not come by the clock.
			pause(ctx, time.Duration(s.between(0.2, 1.8)/s.Rate*float64(time.Second)))
		}
	})
	for _, queue := range []string{orders, orders, mail, payments} {
		work.Go(func() {
			for ctx.Err() == nil {
				note(s.serve(ctx, queue))
			}
		})
	}
	work.Wait()
	return first
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (s *Shop) between(low, high float64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return low + s.random.Float64()*(high-low)
}

func (s *Shop) pick(n int) int { return int(s.between(0, float64(n))) }

// refusal is an answer that is no success.
type refusal struct {
	status        int
	asked, answer string
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("%s: %d %s", r.asked, r.status, r.answer) }

const mostAnswer = 1 << 20

// call sends a request and returns the body of the answer.
func (s *Shop) call(ctx context.Context, method, path, body string, headers ...string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1]) //nolint:gosec // they come in pairs
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err == nil && res.StatusCode > 299 {
		err = &refusal{res.StatusCode, method + " " + path, string(bytes.TrimSpace(answer[:min(len(answer), 500)]))}
	}
	return answer, err
}

// order is one order. A total of null is one of the mistakes of the shop.
type order struct {
	Order    string   `json:"order"`
	Type     string   `json:"type"`
	Customer string   `json:"customer"`
	Items    []item   `json:"items"`
	Total    *float64 `json:"total"`
	Currency string   `json:"currency"`
}

type item struct {
	SKU      string  `json:"sku"`
	Quantity int     `json:"quantity"`
	Price    float64 `json:"price"`
}

var goods = []item{{"MUG-3", 1, 12.5}, {"LAMP-1", 1, 79}, {"TEA-250", 1, 6.9}, {"CHAIR-9", 1, 149}, {"NOTEBOOK-A5", 1, 8.2}}

func (s *Shop) newOrder() order {
	n := s.placed.Add(1)
	o := order{Order: fmt.Sprintf("A-%d", 1000+n), Type: "placed", Customer: fmt.Sprintf("c-%d", s.pick(40)), Currency: "EUR"}
	total := 0.0
	for range 1 + s.pick(3) {
		it := goods[s.pick(len(goods))]
		it.Quantity = 1 + s.pick(3)
		total += it.Price * float64(it.Quantity)
		o.Items = append(o.Items, it)
	}
	if n%30 != 7 {
		o.Total = &total
	}
	return o
}

// place sends an order to its queue and to whoever listens, and now and then a payment or a reminder for later.
func (s *Shop) place(ctx context.Context) error {
	o := s.newOrder()
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	channel := []string{"web", "app", "phone"}[s.pick(3)]
	if _, err := s.call(ctx, http.MethodPost, "/v1/queues/"+orders+"/messages", string(body), "Message-Attr-Channel", channel); err != nil {
		return err
	}
	if _, err := s.call(ctx, http.MethodPost, "/v1/topics/"+events+"/messages", string(body), "Message-Attr-Type", o.Type); err != nil {
		return err
	}
	if o.Total != nil {
		paid := fmt.Sprintf(`{"order":%q,"amount":%g}`, o.Order, *o.Total)
		if _, err := s.call(ctx, http.MethodPost, "/v1/queues/"+payments+"/messages", paid, "Message-Group-Id", o.Customer); err != nil {
			return err
		}
	}
	if s.pick(10) == 0 {
		remind := fmt.Sprintf(`{"order":%q,"template":"how-was-it"}`, o.Order)
		_, err = s.call(ctx, http.MethodPost, "/v1/queues/"+mail+"/messages?delay=2h", remind)
	}
	return err
}

// serve takes messages of a queue and does with them what their consumer does.
func (s *Shop) serve(ctx context.Context, queue string) error {
	answer, err := s.call(ctx, http.MethodPost, "/v1/queues/"+queue+"/receive?max=5&wait=5&consumer=demo-"+strings.TrimSuffix(queue, ".fifo"), "")
	if err != nil {
		return err
	}
	var got struct {
		Messages []struct {
			AckURL string `json:"ack_url"`
			Body   string `json:"body"`
		}
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return err
	}
	for _, m := range got.Messages {
		pause(ctx, time.Duration(s.between(5, 60))*time.Millisecond)
		method, what := http.MethodDelete, ""
		if queue == orders {
			method, what = s.judge(m.Body)
		}
		// The address may have the path below which the API lives; it begins at the host.
		if _, err := s.call(ctx, method, m.AckURL[strings.Index(m.AckURL, "/v1/"):], what); err != nil {
			if answer, ok := errors.AsType[*refusal](err); !ok || answer.status != http.StatusGone {
				return err
			}
		}
	}
	return nil
}

// judge says what becomes of an order: most are done.
func (s *Shop) judge(body string) (method, what string) {
	var o order
	if err := json.Unmarshal([]byte(body), &o); err != nil || o.Total == nil {
		return http.MethodPatch, `{"dead_letter":true,"reason":"total is null"}`
	}
	switch n := s.pick(100); {
	case o.Customer == "c-13" && n < 60:
		return http.MethodPatch, `{"dead_letter":true,"reason":"there is no customer c-13"}`
	case n < 5:
		return http.MethodPatch, `{"return":true,"reason":"the stock service did not answer within 2 s"}`
	}
	return http.MethodDelete, ""
}
