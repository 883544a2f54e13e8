package redistest

import (
	"errors"
	"fmt"
	"time"
)

// pollStep is the pause between two looks at a server.
const pollStep = 10 * time.Millisecond

// final is an error that no waiting will mend: poll gives up at once.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// poll calls f until it returns nil and gives up after limit, with f's last word.
func poll(limit time.Duration, f func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil || errors.As(err, new(final)) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", limit, err)
		}
		time.Sleep(pollStep)
	}
}
