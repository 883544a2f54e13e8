package engine

import (
	"context"

	"golang.org/x/sync/singleflight"
)

// Joined has all who ask for the same thing at the same time share one answer. The zero value is ready.
type Joined[T any] struct{ group singleflight.Group }

// Do returns what f returns for a key, to all who came while it ran. ctx ends the wait of who asked, with ErrUnavailable, and not
// what others wait for: f gets a context that does not end with it.
func (j *Joined[T]) Do(ctx context.Context, key string, f func(context.Context) (T, error)) (T, error) {
	answer := j.group.DoChan(key, func() (any, error) { return f(context.WithoutCancel(ctx)) })
	select {
	case <-ctx.Done():
		var none T
		return none, ErrUnavailable.Because(ctx.Err())
	case a := <-answer:
		value, _ := a.Val.(T)
		return value, a.Err
	}
}
