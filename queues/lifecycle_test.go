package queues_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A server forgets queues that nobody used for a while. What it numbers its calls with must go on from there: Redis
// remembers the last number and takes a lower one for a late call.
func TestAForgottenQueueIsUsedAgain(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for range 3 {
			b.send(t, q, "before")
		}
		if got := b.receive(t, q, 10); len(got) != 3 {
			t.Fatalf("received %v", bodies(got))
		}
		b.ForgetDesks()
		b.send(t, q, "after")
		if diff := cmp.Diff([]string{"after"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received after the server forgot the queue (-want +got):\n%s", diff)
		}
	})
}
