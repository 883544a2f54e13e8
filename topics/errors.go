package topics

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// The errors of this package. Tests compare with errors.Is; the texts name the thing at hand.
var (
	ErrTopicNotFound = &errs.Error{Kind: errs.NotFound, Code: "topic_not_found", Message: "There is no such topic."}
	ErrTopicQuota    = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: "The tenant has as many topics as it may have.",
		Fix:     "Delete topics that nobody needs, or ask the operator for a higher limit."}
	ErrPrecondition = &errs.Error{Kind: errs.Precondition, Code: "precondition_failed",
		Message: "The topic is not in the state that the request's If-Match or If-None-Match asked for.",
		Fix:     "Read the topic again, look at its ETag, and repeat the change."}
	ErrMessageTooLarge = &errs.Error{Kind: errs.TooLarge, Code: "message_too_large", Message: "The message is too large."}
	ErrAtomicTooLarge  = &errs.Error{Kind: errs.Invalid, Code: "atomic_too_large",
		Message: "An atomic batch for a topic holds at most 100 messages and 512 KiB in all.",
		Fix:     "Publish fewer messages at once, or leave atomic=true out."}
	ErrKeyReused = &errs.Error{Kind: errs.Invalid, Code: "idempotency_key_reused",
		Message: "This Idempotency-Key was used for another message in the last five minutes.",
		Fix:     "Use a new key for a new message, and the same key only to publish the same message again."}
	ErrKeysFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: "The topic remembers as many idempotency keys and deduplication ids as it can. They are forgotten five minutes after their use."}
	// ErrSubscriptionFull says that a subscription has publishes refused; see Handed.Refused.
	ErrSubscriptionFull = &errs.Error{Kind: errs.RateLimited, Code: "subscription_full", RetryAfter: time.Second,
		Message: "A subscription of the topic holds as many messages as it may, and has publishes refused meanwhile.",
		Fix:     "Publish again later. Look at the subscription: disable or delete it, or set its overflow to dlq or drop_oldest, and the topic takes messages again."}
	// ErrLogFull and ErrBytesFull say that a topic's log has reached a limit.
	ErrLogFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: fmt.Sprintf("The topic's log holds %d messages, and no more are allowed.", MaxLogMessages), Fix: fixFull}
	// errMemoryFull is ErrLogFull of the in-memory engine.
	errMemoryFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: fmt.Sprintf("With the in-memory engine the topic's log holds %d messages, and no more are allowed.", memoryMessages),
		Fix:     "Install redis-server or set SLUICE_REDIS_URL: then it holds more. " + fixFull}
	ErrBytesFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: fmt.Sprintf("The topic's log holds %d MiB, and no more are allowed.", MaxLogBytes>>20), Fix: fixFull}
	ErrGroupRequired = &errs.Error{Kind: errs.Invalid, Code: "message_group_id_required",
		Message: "A message for a FIFO topic needs a group: messages of one group arrive in their order.",
		Fix:     "Publish with a group id, such as the id of the customer or order that the message is about: curl … -H 'Message-Group-Id: customer-42'.",
		Fields:  []errs.Field{{Pointer: "/group_id", Code: "required", Message: "must be given for a FIFO topic"}}}
	ErrDeduplicationRequired = &errs.Error{Kind: errs.Invalid, Code: "deduplication_id_required",
		Message: "A message for this FIFO topic needs a deduplication id, because the topic does not derive one from the body.",
		Fix:     `Give one (curl … -H 'Message-Deduplication-Id: 8c1f'), or set {"fifo":{"content_based_deduplication":true}} on the topic.`,
		Fields:  []errs.Field{{Pointer: "/deduplication_id", Code: "required", Message: "must be given unless the topic derives it from the body"}}}
	// ErrSchemaMismatch says that a message is not as the topic's schema says.
	ErrSchemaMismatch = &errs.Error{Kind: errs.Invalid, Code: "schema_mismatch",
		Message: "The message is not as the topic's schema says.",
		Fix:     "Read the schema: GET /v1/topics/{topic}/schemas/current. Try a message: POST /v1/topics/{topic}/schemas/test."}
	// ErrSchemaIncompatible says that a new version of a schema does not follow the current one as the topic asks for.
	ErrSchemaIncompatible = &errs.Error{Kind: errs.Conflict, Code: "schema_incompatible",
		Message: "The schema is not compatible with the current version.",
		Fix:     "Change the schema at the places named, or, if you know that nobody is hurt, set another compatibility: PATCH /v1/topics/{topic}/schemas {\"compatibility\":\"none\"}."}
	ErrSchemaNotFound = &errs.Error{Kind: errs.NotFound, Code: "schema_not_found", Message: "The topic has no such version of a schema.",
		Fix: "List them: GET /v1/topics/{topic}/schemas."}
	ErrSchemaCurrent = &errs.Error{Kind: errs.Conflict, Code: "schema_current", Message: "The version is the current one, by which messages are checked.",
		Fix: "Make another one current first, or none: PATCH /v1/topics/{topic}/schemas {\"current\":null}."}
	ErrSchemaQuota = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: fmt.Sprintf("The topic has %d versions of its schema, and no more are allowed.", MaxSchemas), Fix: "Delete versions that no message in use has."}
	// ErrDataLost says that the registry names a topic whose keys are not there.
	ErrDataLost = &errs.Error{Kind: errs.Unavailable, Code: "data_lost",
		Message: "The topic is registered but its data is missing from the storage."}
)

const fixFull = "Look at the subscriptions that lag, resume or delete them, or lower the topic's retention."

// What scripts say of a topic that is not there.
var (
	errGone    = errors.New("the topic is gone")                // deleted, or its name now means another one
	errRetired = fmt.Errorf("%w: it is being deleted", errGone) // its keys may still be there
)

// verdict turns the refusals that all scripts have into errors.
func verdict(reply any) ([]any, error) {
	list, ok := reply.([]any)
	if !ok || len(list) == 0 {
		return nil, unexpected(reply)
	}
	switch list[0] {
	case "gone":
		return nil, errRetired
	case "absent":
		return nil, errGone
	}
	return list, nil
}

// unexpected is an answer that no script of ours gives.
func unexpected(reply any) error {
	return engine.ErrBroken.Because(fmt.Errorf("unexpected answer of %T", reply))
}

// refusedBy is ErrSubscriptionFull with the name of the subscription.
func refusedBy(name string) error {
	e := *ErrSubscriptionFull
	e.Message = fmt.Sprintf("The subscription %q of the topic holds as many messages as it may, and has publishes refused meanwhile.", name)
	return &e
}

func notFound(name string) error {
	e := *ErrTopicNotFound
	e.Message = fmt.Sprintf("There is no topic %q.", name)
	e.Fix = "Create it: PUT /v1/topics/{topic}."
	return &e
}

func notFoundOr(err error, name string) error {
	if err != nil {
		return err
	}
	return notFound(name)
}

// ValidName reports what is wrong with a topic's name, or nil.
func ValidName(name string) error {
	ok := len(name) <= MaxNameLength
	for segment := range strings.SplitSeq(strings.TrimSuffix(name, fifoSuffix), ".") {
		ok = ok && validSegment(segment)
	}
	if ok {
		return nil
	}
	return errs.Invalidf("", "A topic's name has 1 to %d letters, digits, - and _, and single dots inside it; that of a FIFO topic ends in %s.", MaxNameLength, fifoSuffix)
}

func validSegment(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// fifoSuffix ends the names of FIFO topics, and of no others.
const fifoSuffix = ".fifo"

// IsFIFOName reports whether a topic of this name is FIFO.
func IsFIFOName(name string) bool { return queues.IsFIFOName(name) }
