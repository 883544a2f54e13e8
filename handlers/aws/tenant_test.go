package aws_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/tenants"
)

// limited gives the tenant limits of its own, at once on this server.
func (h *doorTest) limited(limits tenants.Limits) {
	h.Helper()
	_, err := h.tenants.Update(h.Context(), h.tenant.Name, tenants.Condition{}, func(s tenants.Settings) (tenants.Settings, error) {
		s.Limits = limits
		return s, nil
	})
	h.must(err)
}

func TestSuspendedTenants(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		suspend := func(mode tenants.Mode) {
			t.Helper()
			_, err := c.tenants.Suspend(t.Context(), c.tenant.Name, mode, "unpaid", tenants.Condition{})
			c.must(err)
		}
		suspend(tenants.ModeSend)
		c.call("SendMessage", in(address, `"MessageBody":"x"`)).fails(403, "AccessDenied", "AccessDeniedException", "unpaid")
		c.call("SendMessageBatch", in(address, `"Entries":[{"Id":"a","MessageBody":"x"}]`)).fails(403, "AccessDenied", "AccessDeniedException", "unpaid")
		c.out("DeleteMessage", in(address, `"ReceiptHandle":`+c.delivery(address)))
		suspend(tenants.ModeAll)
		c.call("ReceiveMessage", in(address, "")).fails(403, "AccessDenied", "AccessDeniedException", "unpaid")
		_, err := c.tenants.Resume(t.Context(), c.tenant.Name, tenants.Condition{})
		c.must(err)
		diff(t, "nothing was stored", object{}, c.receive(address))
	})
}

func TestLimitsOfATenant(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.limited(tenants.Limits{tenants.LimitMessageSize: 2048, tenants.LimitQueues: 1})
		c.refuses("SendMessage", in(address, `"MessageBody":"`+strings.Repeat("x", 2049)+`"`), "Message must be shorter than 2048 bytes.")
		c.call("CreateQueue", `{"QueueName":"another"}`).fails(403, "OverLimit", "OverLimit", "")
		c.limited(tenants.Limits{tenants.LimitRequests: 2})
		c.send(address, "1")
		c.send(address, "2")
		a := c.call("SendMessage", in(address, `"MessageBody":"3"`))
		a.fails(503, "RequestThrottled", "RequestThrottled", "")
		diff(t, "Retry-After", "1", a.header.Get("Retry-After"))
		c.limited(tenants.Limits{})
		diff(t, "stored", []string{"1", "2"}, bodies(c.receive(address)))
		c.door.Meter.Flush(t.Context())
		list, _, err := c.tenants.Usage(t.Context(), c.tenant.ID, tenants.UsageQuery{Granularity: tenants.ByHour, To: c.clock.Now().Add(time.Hour)}, 10, "")
		if err != nil || len(list) != 1 || list[0].Counts[tenants.MetricThrottled] != 1 {
			t.Fatalf("one request was throttled; usage is %+v, %v", list, err)
		}
		// Those that were let in are the key's whose AWS pair signed them.
		keys, err := c.keys.List(t.Context(), c.tenant.ID)
		c.must(err)
		total := int64(0)
		for _, k := range keys {
			calls, err := c.tenants.KeyCalls(t.Context(), c.tenant.ID, []string{k.ID})
			c.must(err)
			total += calls[0]
		}
		diff(t, "calls of keys", list[0].Counts[tenants.MetricRequests], total)
	})
}

// Who has lost his key while he waited does not get what comes.
func TestAWaitingReceiveIsNoKey(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		made, err := c.keys.CreateTenantKey(t.Context(), c.tenant.ID, auth.NewKey{Name: "short", AWS: true})
		c.must(err)
		short := *c.doorTest
		short.pair.AccessKeyID, short.pair.SecretAccessKey = made.AWSAccessKeyID, made.AWSSecret.Reveal()
		got := make(chan *answer, 1)
		go func() { got <- client{&short, c.query}.call("ReceiveMessage", in(address, `"WaitTimeSeconds":20`)) }()
		until(t, "it waits", func() bool { return c.queues.Waiting() == 1 })
		c.clock.Advance(5 * time.Second)
		c.must(c.keys.Revoke(t.Context(), c.tenant.ID, made.ID))
		c.send(address, "x")
		(<-got).fails(403, "InvalidClientTokenId", "UnrecognizedClientException", "")
		m := messages(c.receive(address, `"AttributeNames":["ApproximateReceiveCount"]`))
		diff(t, "not counted", object{"ApproximateReceiveCount": "1"}, m[0]["Attributes"])
	})
}

func TestATenantThatHasStoredAllItMayIsOverItsLimit(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.limited(tenants.Limits{tenants.LimitStored: 1 << 20})
		half := strings.Repeat("x", 600_000)
		c.send(address, half)
		a := c.call("SendMessage", in(address, `"MessageBody":"`+half+`"`))
		a.fails(403, "OverLimit", "OverLimit", "The tenant has stored as many bytes as it may.")
		got := c.receive(address)
		diff(t, "received", []string{half}, bodies(got))
		c.out("DeleteMessage", in(address, `"ReceiptHandle":`+quoted(str(messages(got)[0], "ReceiptHandle"))))
		c.send(address, half)
	})
}
