package queues

import (
	"context"
	"strconv"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Wait is something that SQS does not do again with a queue for a while. Nothing here needs such a wait: it is for those who
// want to know that their programs can stand it.
type Wait string

// The waits, each of WaitTime.
const (
	AfterPurge  Wait = "p" // until it is purged again
	AfterDelete Wait = "d" // until there is one of the same name
)

// WaitTime is how long they are.
const WaitTime = time.Minute

func waitsKey(t tenants.ID) string { return engine.TenantKey(t.String(), "queue-waits") }

// BeginWait has a wait begin.
func (s *Store) BeginWait(ctx context.Context, t tenants.ID, w Wait, name string) error {
	_, err := s.engine.Do(ctx, waitScript, []string{waitsKey(t)}, string(w)+name, WaitTime.Milliseconds())
	return err
}

// IsWaiting reports whether a wait is not over yet.
func (s *Store) IsWaiting(ctx context.Context, t tenants.ID, w Wait, name string) (bool, error) {
	reply, err := s.engine.Do(ctx, waitsScript, []string{waitsKey(t)}, string(w)+name)
	if err != nil {
		return false, err
	}
	text, _ := reply.(string)
	left, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return false, unexpected(reply)
	}
	return left > 0, nil
}
