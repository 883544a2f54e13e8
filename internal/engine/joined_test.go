package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sluicemq/sluice/internal/engine"
)

func TestWhoDoesNotWaitForASharedAnswerEndsItForNobody(t *testing.T) {
	t.Parallel()
	var j engine.Joined[int]
	begun, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := j.Do(ctx, "a", func(ctx context.Context) (int, error) {
			close(begun)
			<-goOn
			ended <- ctx.Err()
			return 7, nil
		})
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up got %v", err)
	}
	refused := errors.New("refused")
	if got, err := j.Do(t.Context(), "b", func(context.Context) (int, error) { return 8, refused }); got != 8 || !errors.Is(err, refused) {
		t.Errorf("another key: %d, %v", got, err)
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Errorf("what others may wait for ended with who asked: %v", err)
	}
}
