package engine_test

import (
	"testing"

	"github.com/sluicemq/sluice/internal/engine"
)

// The slots are those that CLUSTER KEYSLOT of Redis says.
func TestSlotsAreThoseOfRedis(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]int{"": 0, "123456789": 12739, "foo": 12182, "user1000": 3443} {
		if got := engine.Slot(tag); got != want {
			t.Errorf("the slot of %q is %d, want %d", tag, got, want)
		}
	}
}
