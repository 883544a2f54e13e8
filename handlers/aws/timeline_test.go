package aws_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/queues"
)

// What clients of SQS do to a message is in its timeline as what others do.
func TestTheLifeOfAMessageOverSQS(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		name := nameOf(address)
		_, err := c.queues.Update(t.Context(), c.tenant.ID, name, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
			s.TraceRetention = time.Hour
			return s, nil
		})
		c.must(err)
		// What SQS says of a queue leaves the setting as it is.
		c.out("SetQueueAttributes", in(address, `"Attributes":{"VisibilityTimeout":"9"}`))
		c.send(address, "x")
		page, err := c.queues.Peek(t.Context(), c.tenant.ID, name, queues.PeekOptions{})
		c.must(err)
		c.receive(address)
		c.out("PurgeQueue", in(address, ""))
		line, err := c.queues.Timeline(t.Context(), c.tenant.ID, name, page.Messages[0].ID)
		c.must(err)
		var got []string
		for _, s := range line.Steps {
			got = append(got, string(s.Event))
			if s.Actor.Kind != queues.ByTenant || s.Actor.Key == "" || s.Actor.Address != "127.0.0.1" {
				t.Errorf("%s by %+v", s.Event, s.Actor)
			}
		}
		diff(t, "timeline", []string{"sent", "received", "purged"}, got)
	})
}
