package queues

import (
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

// unexpected is an answer that no script of ours gives.
func unexpected(reply any) error {
	return engine.ErrBroken.Because(fmt.Errorf("unexpected answer of %T", reply))
}

func notFound(name string) error {
	e := *ErrQueueNotFound
	e.Message = fmt.Sprintf("There is no queue %q.", name)
	e.Fix = "Create it: PUT /v1/queues/{queue}."
	return &e
}

func notFoundOr(err error, name string) error {
	if err != nil {
		return err
	}
	return notFound(name)
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// refused is an error that concerns a whole call.
func refused(word string) error {
	switch word {
	case "full":
		return ErrQueueFull
	case "full_messages":
		return ErrMessagesFull
	case "full_bytes":
		return ErrBytesFull
	case "again", "short":
		return engine.ErrUnavailable // much is being dropped, or others fill what is drawn; nothing of this was stored
	case "dedup_full":
		return ErrKeysFull
	case "conflict":
		return ErrKeyReused
	}
	return &errs.Error{Kind: errs.Internal, Code: "internal", Message: "unexpected refusal " + word}
}
