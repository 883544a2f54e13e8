package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// restDriver plays histories by REST. What REST does not say, as times of less than a second, the store does.
type restDriver struct {
	*queues.Store
	h     *apiTest
	calls calls
}

// ask makes a request, counts what was done, and returns the error of one that was refused.
func (d *restDriver) ask(what, method, path string, body any, into any, headers ...string) (*answer, error) {
	text, ok := body.(string)
	if !ok && body != nil {
		raw, err := json.Marshal(body)
		d.h.must(err)
		text, headers = string(raw), append(headers, "Content-Type", "application/json")
	}
	a := d.h.do(method, "/v1/queues/"+path, text, headers...)
	if a.status >= 300 {
		var p handlers.Problem
		d.h.must(json.Unmarshal(a.body, &p))
		return a, &errs.Error{Code: p.Code}
	}
	d.calls[what]++
	if into != nil {
		d.h.must(json.Unmarshal(a.body, into))
	}
	return a, nil
}

// whole reports whether REST can say a duration.
func whole(d time.Duration) bool { return d%time.Second == 0 }

func secondsOf(d time.Duration) int { return int(d / time.Second) }

func retryOf(p *queues.Retry) map[string]any {
	return map[string]any{"backoff": p.Backoff, "delay": secondsOf(p.Delay), "max_delay": secondsOf(p.MaxDelay), "jitter": p.Jitter}
}

// now returns by which clock of the queue a request was carried out.
func (d *restDriver) now(a *answer) time.Time {
	ms, err := strconv.ParseInt(a.header.Get("Sluice-Now"), 10, 64)
	d.h.must(err)
	return time.UnixMilli(ms).UTC()
}

func (d *restDriver) SendBatch(ctx context.Context, t tenants.ID, queue string, batch []queues.Outgoing, atomic bool) ([]queues.SendResult, error) {
	for i := range batch {
		if m := &batch[i]; m.Delay != nil && !whole(*m.Delay) || m.IdempotencyKey != "" && (len(batch) > 1 || atomic) {
			return d.Store.SendBatch(ctx, t, queue, batch, atomic)
		}
	}
	if len(batch) == 1 && !atomic {
		return []queues.SendResult{d.send(queue, &batch[0])}, nil
	}
	var items []map[string]any
	for i := range batch {
		m := &batch[i]
		item := map[string]any{"body": string(m.Body), "content_type": m.ContentType, "priority": m.Priority}
		if m.Delay != nil {
			item["delay"] = secondsOf(*m.Delay)
		}
		if m.TTL > 0 {
			item["ttl"] = secondsOf(m.TTL)
		}
		if m.Retry != nil {
			item["retry"] = retryOf(m.Retry)
		}
		items = append(items, item)
	}
	var out handlers.Results
	a, err := d.ask("sendMany", "POST", queue+"/messages/batch?atomic="+strconv.FormatBool(atomic), map[string]any{"messages": items}, &out)
	if err != nil {
		return nil, err
	}
	results := make([]queues.SendResult, len(out.Results))
	for i, r := range out.Results {
		if r.Error != nil {
			results[i].Err = &errs.Error{Code: r.Error.Code}
			continue
		}
		results[i].ID = idOf(d.h, r.ID)
		results[i].Now = d.now(a)
		if results[i].AvailableAt, err = availableAt(ctx, d.Store, t, queue, results[i].ID); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (d *restDriver) send(queue string, m *queues.Outgoing) (r queues.SendResult) {
	headers := []string{"Content-Type", m.ContentType, "Message-Priority", strconv.Itoa(m.Priority)}
	if m.Delay != nil {
		headers = append(headers, "Message-Delay", strconv.Itoa(secondsOf(*m.Delay)))
	}
	if m.TTL > 0 {
		headers = append(headers, "Message-TTL", strconv.Itoa(secondsOf(m.TTL)))
	}
	if m.Retry != nil {
		raw, err := json.Marshal(retryOf(m.Retry))
		d.h.must(err)
		headers = append(headers, "Message-Retry", string(raw))
	}
	if m.IdempotencyKey != "" {
		headers = append(headers, "Idempotency-Key", m.IdempotencyKey)
	}
	var out handlers.SentMessage
	a, err := d.ask("send", "POST", queue+"/messages", string(m.Body), &out, headers...)
	if err != nil {
		return queues.SendResult{Err: err}
	}
	r.ID, r.AvailableAt, r.Now, r.Replayed = idOf(d.h, out.ID), out.AvailableAt.Time, d.now(a), a.header.Get("Idempotent-Replayed") == "true"
	return r
}

// idOf reads the id of a message as REST writes it.
func idOf(h *apiTest, text string) engine.ID {
	id, ok := engine.ParseID(strings.TrimPrefix(text, "msg_"))
	if !ok {
		h.Fatalf("%q is no id", text)
	}
	return id
}

// availableAt looks up when a message that was just sent is available.
func availableAt(ctx context.Context, s *queues.Store, t tenants.ID, queue string, id engine.ID) (time.Time, error) {
	m, err := s.Message(ctx, t, queue, id)
	if m.State == queues.Delayed {
		return m.AvailableAt, err
	}
	return m.SentAt, err
}

func timeOf(i *handlers.Instant) time.Time {
	if i == nil {
		return time.Time{}
	}
	return i.UTC()
}

// message returns what all views of a message show.
func (d *restDriver) message(id, body string, c *handlers.MessageContent) queues.Message {
	m := queues.Message{
		ID: idOf(d.h, id), Body: body, ContentType: c.ContentType, ReceiveCount: c.ReceiveCount, FailureCount: c.FailureCount, Priority: c.Priority,
		ExpiresAt: timeOf(c.ExpiresAt), SentAt: c.SentAt.UTC(), FirstReceivedAt: timeOf(c.FirstReceivedAt),
	}
	if c.Retry != nil {
		m.Retry = &queues.Retry{
			Backoff: queues.Backoff(c.Retry.Backoff), Delay: time.Duration(c.Retry.Delay) * time.Second,
			MaxDelay: time.Duration(c.Retry.MaxDelay) * time.Second, Jitter: c.Retry.Jitter,
		}
	}
	return m
}

func (d *restDriver) Receive(ctx context.Context, t tenants.ID, queue string, opt queues.ReceiveOptions) ([]queues.Message, error) {
	q := url.Values{"max": {strconv.Itoa(opt.Max)}}
	if v := opt.VisibilityTimeout; v != nil {
		if !whole(*v) {
			return d.Store.Receive(ctx, t, queue, opt)
		}
		q.Set("visibility_timeout", strconv.Itoa(secondsOf(*v)))
	}
	if opt.AutoAck {
		q.Set("ack", "auto")
	}
	if opt.Consumer != "" {
		q.Set("consumer", opt.Consumer)
	}
	var out handlers.Received
	if _, err := d.ask("receive", "POST", queue+"/receive?"+q.Encode(), nil, &out); err != nil {
		return nil, err
	}
	list := make([]queues.Message, len(out.Messages))
	for i := range out.Messages {
		r := &out.Messages[i]
		list[i] = d.message(r.ID, r.Body, &r.MessageContent)
		if !opt.AutoAck {
			list[i].State, list[i].ReceiptHandle, list[i].LeaseExpiresAt = queues.InFlight, r.ReceiptHandle, r.LeaseExpiresAt.UTC()
		}
	}
	return list, nil
}

// runs calls each with the parts of list that have one verb and go one way: by the door if it takes them.
func runs(list []queues.Settlement, takes func(queues.Settlement) bool, each func(part []queues.Settlement, byDoor bool) error) error {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].Verb == list[0].Verb && takes(list[n]) == takes(list[0]) {
			n++
		}
		if err := each(list[:n], takes(list[0])); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func (d *restDriver) Settle(ctx context.Context, t tenants.ID, queue string, list []queues.Settlement) ([]queues.Settled, error) {
	var all []queues.Settled
	takes := func(s queues.Settlement) bool { return s.ReceiptHandle != "" && whole(s.For) }
	return all, runs(list, takes, func(part []queues.Settlement, byDoor bool) error {
		var done []queues.Settled
		var err error
		switch {
		case !byDoor:
			done, err = d.Store.Settle(ctx, t, queue, part)
		case len(part) == 1:
			done = []queues.Settled{d.settle(queue, part[0])}
		default:
			done, err = d.settleMany(queue, part)
		}
		all = append(all, done...)
		return err
	})
}

// change returns what REST says of a settlement, by its name there.
func change(s queues.Settlement) (name string, members map[string]any) {
	switch s.Verb {
	case queues.Extend:
		return "extend", map[string]any{"visibility_timeout": secondsOf(s.For)}
	case queues.Return:
		return "return", map[string]any{"delay": secondsOf(s.For)}
	case queues.Fail:
		return "return", map[string]any{}
	}
	return "ack", nil
}

func (d *restDriver) settle(queue string, s queues.Settlement) queues.Settled {
	path := queue + "/receipts/" + url.PathEscape(s.ReceiptHandle)
	name, members := change(s)
	if name == "ack" {
		_, err := d.ask(name, "DELETE", path, nil, nil)
		return queues.Settled{Err: err}
	}
	if s.Verb == queues.Fail {
		members["return"] = true
	}
	var out handlers.Receipt
	_, err := d.ask(name, "PATCH", path, members, &out)
	return queues.Settled{Err: err, LeaseExpiresAt: timeOf(out.LeaseExpiresAt), AvailableAt: timeOf(out.AvailableAt), Expired: out.State == "expired"}
}

func (d *restDriver) settleMany(queue string, list []queues.Settlement) ([]queues.Settled, error) {
	name, _ := change(list[0])
	var items []any
	for _, s := range list {
		if _, members := change(s); members == nil {
			items = append(items, s.ReceiptHandle)
		} else {
			members["receipt_handle"] = s.ReceiptHandle
			items = append(items, members)
		}
	}
	var out handlers.Results
	if _, err := d.ask(name+"Many", "POST", queue+"/ack", map[string]any{name: items}, &out); err != nil {
		return nil, err
	}
	done := make([]queues.Settled, len(out.Results))
	for i, r := range out.Results {
		done[i] = queues.Settled{LeaseExpiresAt: timeOf(r.LeaseExpiresAt), AvailableAt: timeOf(r.AvailableAt)}
		if r.Error != nil {
			done[i].Err = &errs.Error{Code: r.Error.Code}
		}
		done[i].Expired = r.Error == nil && name == "return" && r.AvailableAt == nil
	}
	return done, nil
}

func (d *restDriver) DeleteMessage(_ context.Context, _ tenants.ID, queue string, id engine.ID) error {
	_, err := d.ask("deleteMessage", "DELETE", queue+"/messages/msg_"+id.String(), nil, nil)
	return err
}

func (d *restDriver) DelayMessage(ctx context.Context, t tenants.ID, queue string, id engine.ID, due queues.Due) (time.Time, queues.State, error) {
	body := map[string]any{"delay": secondsOf(due.After)}
	if !due.At.IsZero() {
		body = map[string]any{"available_at": due.At.Format(time.RFC3339Nano)}
	} else if !whole(due.After) {
		return d.Store.DelayMessage(ctx, t, queue, id, due)
	}
	var out handlers.ChangedMessage
	_, err := d.ask("delay", "PATCH", queue+"/messages/msg_"+id.String(), body, &out)
	return timeOf(out.AvailableAt), queues.State(out.State), err
}

// peeked returns a message as a peek shows it.
func (d *restDriver) peeked(p *handlers.Message) queues.Message {
	m := d.message(p.ID, p.Body, &p.MessageContent)
	m.State, m.AvailableAt, m.LeaseExpiresAt, m.HeldSince = queues.State(p.State), timeOf(p.AvailableAt), timeOf(p.LeaseExpiresAt), timeOf(p.HeldSince)
	if p.HeldBy != nil {
		m.HeldBy = *p.HeldBy
	}
	return m
}

func (d *restDriver) Message(_ context.Context, _ tenants.ID, queue string, id engine.ID) (queues.Message, error) {
	var out handlers.Message
	if _, err := d.ask("message", http.MethodGet, queue+"/messages/msg_"+id.String(), nil, &out); err != nil {
		return queues.Message{}, err
	}
	return d.peeked(&out), nil
}

// Peek returns the first page as REST shows it. The cursors of others mean nothing to REST.
func (d *restDriver) Peek(ctx context.Context, t tenants.ID, queue string, opt queues.PeekOptions) (queues.Page, error) {
	page, err := d.Store.Peek(ctx, t, queue, opt)
	if err != nil || opt.Cursor != "" {
		return page, err
	}
	q := url.Values{"limit": {strconv.Itoa(opt.Limit)}}
	if opt.State != "" {
		q.Set("state", string(opt.State))
	}
	var out handlers.MessagePage
	if _, err := d.ask("peek", http.MethodGet, queue+"/messages?"+q.Encode(), nil, &out); err != nil {
		return page, err
	}
	if more := out.NextCursor != nil; more != (page.Next != "") {
		return page, fmt.Errorf("REST has a next page: %t; the store: %q", more, page.Next)
	}
	page.Messages = nil
	for i := range out.Data {
		page.Messages = append(page.Messages, d.peeked(&out.Data[i]))
	}
	return page, nil
}

// Stats returns the counts as REST shows them.
func (d *restDriver) Stats(ctx context.Context, t tenants.ID, queue string) (queues.Stats, error) {
	var out handlers.Queue
	if _, err := d.ask("stats", http.MethodGet, queue, nil, &out); err != nil {
		return queues.Stats{}, err
	}
	st, err := d.Store.Stats(ctx, t, queue)
	st.Available, st.InFlight, st.Delayed = out.Counts.Available, out.Counts.InFlight, out.Counts.Delayed
	return st, err
}
