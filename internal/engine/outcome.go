package engine

import (
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/errs"
)

// Outcome says what is known of a call to Redis after its answer, or for want of one.
type Outcome uint8

// The outcomes. Only Unknown calls may have changed something although they failed.
const (
	Done      Outcome = iota // Redis answered
	NotDone                  // certainly not run; the reason passes, so trying again is right
	Reload                   // not run: Redis lacks the script's text
	Elsewhere                // not run: another node has the slot (MOVED, ASK, READONLY)
	Full                     // not run: no room left for what it may write
	Broken                   // a bug or damaged data; trying again cannot help
	Unknown                  // may or may not have run: the connection broke, or time ran out
)

var outcomeNames = [...]string{"done", "not_done", "reload", "elsewhere", "full", "broken", "unknown"}

// String returns the name that logs and metrics use.
func (o Outcome) String() string { return outcomeNames[o] }

// errWait says that too few replicas confirmed a write in time. The write itself is done on the master.
var errWait = errors.New("too few replicas confirmed the write in time")

// errNotSent marks an error that came before the command was sent.
var errNotSent = errors.New("not sent")

// refusals are the error codes with which Redis says that it did not run a command at all, for a reason that passes.
var refusals = []string{
	"NOAUTH", "WRONGPASS", "LOADING", "BUSY", "NOREPLICAS", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED",
	"ERR max number of clients",
}

// OutcomeOf classifies the error of one command that changes state.
func OutcomeOf(err error) Outcome {
	if err == nil || errors.Is(err, redis.Nil) {
		return Done
	}
	if errors.Is(err, errNoRoom) {
		return Full
	}
	if errors.Is(err, errNotSent) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) {
		return NotDone
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return NotDone
	}
	var answer redis.Error
	if !errors.As(err, &answer) {
		return Unknown // EOF, reset, time-out, cancelled context, closed client, errWait
	}
	text := answer.Error()
	for _, code := range refusals {
		if strings.HasPrefix(text, code) {
			return NotDone
		}
	}
	switch {
	case strings.HasPrefix(text, "NOSCRIPT"):
		return Reload
	case strings.HasPrefix(text, "MOVED "), strings.HasPrefix(text, "ASK "), strings.HasPrefix(text, "READONLY"):
		return Elsewhere
	case strings.HasPrefix(text, "OOM "):
		return Full
	default:
		return Broken
	}
}

// RetryAfter is the advice given with every refusal that passes by itself.
const RetryAfter = time.Second

// The errors that a caller of the engine may see. Their causes are for the log.
var (
	ErrUnavailable = &errs.Error{Kind: errs.Unavailable, Code: "not_ready", RetryAfter: RetryAfter,
		Message: "The storage is not answering right now. Nothing was changed.",
		Fix:     "Send the same request again after the time in Retry-After."}
	ErrUnknown = &errs.Error{Kind: errs.Unknown, Code: "outcome_unknown", RetryAfter: RetryAfter,
		Message: "The storage did not confirm the request in time. It may or may not have been carried out.",
		Fix:     "Send it again with the same Idempotency-Key, or look whether it took effect."}
	ErrFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full", RetryAfter: 5 * time.Second,
		Message: "The storage is full: nothing more can be stored until messages are received and deleted, or expire.",
		Fix:     "Receive and acknowledge messages, purge queues that nobody needs, or give Redis more room."}
	ErrBroken = &errs.Error{Kind: errs.Internal, Code: "internal",
		Message: "Something is wrong on the server. The request id finds the details in its log."}
)

// problem turns the last error of a call into what the caller sees.
func problem(o Outcome, cause error) error {
	switch o {
	case Done:
		return nil
	case Full:
		return ErrFull.Because(cause)
	case Broken:
		return ErrBroken.Because(cause)
	case Unknown:
		return ErrUnknown.Because(cause)
	default:
		return ErrUnavailable.Because(cause)
	}
}
