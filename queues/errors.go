package queues

import (
	"strings"

	"github.com/sluicemq/sluice/internal/errs"
)

// The errors of this package. Tests compare with errors.Is; the texts name the thing at hand.
var (
	ErrQueueNotFound   = &errs.Error{Kind: errs.NotFound, Code: "queue_not_found", Message: "There is no such queue."}
	ErrMessageNotFound = &errs.Error{Kind: errs.NotFound, Code: "message_not_found",
		Message: "There is no such message: it was acknowledged or deleted, has expired, or was never here."}
	ErrReceiptInvalid = &errs.Error{Kind: errs.NotFound, Code: "receipt_handle_invalid",
		Message: "This is not a receipt handle of this queue.",
		Fix:     "Use the receipt_handle of a message that you received from this queue."}
	ErrReceiptExpired = &errs.Error{Kind: errs.Gone, Code: "receipt_handle_expired",
		Message: "The lease is over: the message is available again or someone else has it.",
		Fix:     "Receive the message again, with a longer visibility_timeout if the work takes longer."}
	ErrMessageTooLarge = &errs.Error{Kind: errs.TooLarge, Code: "message_too_large", Message: "The message is too large."}
	ErrAtomicTooLarge  = &errs.Error{Kind: errs.Invalid, Code: "atomic_too_large",
		Message: "An atomic batch holds at most 100 messages and 1 MiB in all.",
		Fix:     "Send fewer messages at once, or leave atomic=true out."}
	ErrPrecondition = &errs.Error{Kind: errs.Precondition, Code: "precondition_failed",
		Message: "The queue is not in the state that the request's If-Match or If-None-Match asked for.",
		Fix:     "Read the queue again, look at its ETag, and repeat the change."}
	// ErrNoDeadLetterQueue refuses to give a message up that could go nowhere.
	ErrNoDeadLetterQueue = &errs.Error{Kind: errs.Conflict, Code: "no_dead_letter_queue",
		Message: "The queue has no dead-letter queue to which the message could go.",
		Fix:     `Give it one: {"redrive":{"dead_letter_queue":"orders-dlq","max_receives":5}}, or delete the message.`}
	ErrQueueQuota = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded", Message: "The tenant has as many queues as it may have.",
		Fix: "Delete queues that are not needed, or ask the operator for more. One with many messages counts until the last of them is gone."}
	ErrTenantGone = &errs.Error{Kind: errs.NotFound, Code: "tenant_not_found", Message: "There is no such tenant."}
	ErrKeyReused  = &errs.Error{Kind: errs.Invalid, Code: "idempotency_key_reused",
		Message: "This Idempotency-Key was used for another message in the last five minutes.",
		Fix:     "Use a new key for a new message, and the same key only to send the same message again."}
	ErrKeysFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: "The queue remembers as many idempotency keys as it can. They are forgotten five minutes after their use."}
	ErrQueueFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: "The in-memory engine holds at most 100,000 messages a queue.",
		Fix:     "Install redis-server or set SLUICE_REDIS_URL: then the memory of Redis is the limit."}
	// ErrMessagesFull and ErrBytesFull say that a queue has reached a cap of its settings.
	ErrMessagesFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: "The queue holds as many messages as it may, by its setting max_messages.", Fix: fixFull}
	ErrBytesFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: "The queue holds as many bytes as it may, by its setting max_bytes.", Fix: fixFull}
	// ErrDataLost says that the registry names a queue whose keys are not there. It is never answered with "not found",
	// and the queue is never silently made anew: an operator must look.
	ErrDataLost = &errs.Error{Kind: errs.Unavailable, Code: "data_lost",
		Message: "The queue is registered but its data is missing from the storage."}
)

const fixFull = `Receive and acknowledge messages, raise the cap, or set when_full to "drop_oldest" or "dead_letter".`

// ValidName reports what is wrong with a queue's name, or nil.
func ValidName(name string) error {
	base := strings.TrimSuffix(name, fifoSuffix)
	ok := base != "" && len(name) <= MaxNameLength
	for i := 0; i < len(base); i++ {
		c := base[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if ok {
		return nil
	}
	return errs.Invalidf("", "A queue's name has 1 to %d letters, digits, - and _, and that of a FIFO queue ends in %s.", MaxNameLength, fifoSuffix)
}

// pointerEscape writes s as one step of a JSON Pointer.
func pointerEscape(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}
