package aws_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

func withWaits(h *doorTest, _ *engine.Options) { h.door.Waits = true }

// waiting runs a test by both protocols with two doors that have clients wait, and by one on the in-memory engine.
func waiting(t *testing.T, test func(t *testing.T, c, second client)) {
	t.Helper()
	for _, query := range []bool{false, true} {
		t.Run(fmt.Sprintf("query %t", query), func(t *testing.T) {
			t.Parallel()
			h := open(t, withWaits)
			test(t, client{h, query}, client{open(t, asTenant(h), withWaits), query})
		})
	}
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		c := client{open(t, onMemory(t), withWaits), false}
		test(t, c, c)
	})
}

func TestQ38_APurgeIsRepeatedAfterAMinuteWhereClientsAreToWait(t *testing.T) {
	t.Parallel()
	waiting(t, func(t *testing.T, c, second client) {
		address, other := c.queue(nil), c.queue(nil)
		c.out("PurgeQueue", in(address, ""))
		c.send(address, "x")
		for _, who := range []client{c, second} {
			who.call("PurgeQueue", in(address, "")).fails(403, "AWS.SimpleQueueService.PurgeQueueInProgress", "com.amazonaws.sqs#PurgeQueueInProgress",
				"Only one PurgeQueue operation on "+nameOf(address)+" is allowed every 60 seconds.")
		}
		second.out("PurgeQueue", in(other, ""))
		diff(t, "it is still there", []string{"x"}, bodies(c.receive(address)))
		c.clock.Advance(time.Minute)
		second.out("PurgeQueue", in(address, ""))
	})
}

func TestQ35_ANameIsUsedAgainAfterAMinuteWhereClientsAreToWait(t *testing.T) {
	t.Parallel()
	waiting(t, func(t *testing.T, c, second client) {
		address := c.queue(nil)
		create := `{"QueueName":"` + nameOf(address) + `"}`
		c.out("DeleteQueue", in(address, ""))
		for _, who := range []client{c, second} {
			who.call("CreateQueue", create).fails(400, "AWS.SimpleQueueService.QueueDeletedRecently", "com.amazonaws.sqs#QueueDeletedRecently",
				"You must wait 60 seconds after deleting a queue before you can create another with the same name.")
		}
		second.out("CreateQueue", `{"QueueName":"`+nameOf(address)+`x"}`)
		other := client{c.neighbour(), c.query}
		other.out("CreateQueue", create)
		c.clock.Advance(time.Minute)
		second.out("CreateQueue", create)
	})
}
