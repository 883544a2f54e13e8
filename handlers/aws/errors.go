package aws

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/auth/sigv4"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// sort is a kind of error as AWS knows it. Clients match on these names: of the shape in JSON, of the code in XML, in the
// header x-amzn-query-error and in the Failed of batches.
type sort struct {
	shape, code string
	status      int
}

// Shapes with a namespace of their own are in the model of SQS, the others only in its answers.
const (
	modelled   = "com.amazonaws.sqs#"
	unmodelled = "com.amazon.coral.service#"
	codePrefix = "AWS.SimpleQueueService."
)

// The sorts of errors.
var (
	errNoQueue          = sort{modelled + "QueueDoesNotExist", codePrefix + "NonExistentQueue", 400}
	errQueueExists      = sort{modelled + "QueueNameExists", "QueueAlreadyExists", 400}
	errDeletedRecently  = sort{modelled + "QueueDeletedRecently", codePrefix + "QueueDeletedRecently", 400}
	errPurging          = sort{modelled + "PurgeQueueInProgress", codePrefix + "PurgeQueueInProgress", 403}
	errIDsNotDistinct   = sort{modelled + "BatchEntryIdsNotDistinct", codePrefix + "BatchEntryIdsNotDistinct", 400}
	errBatchTooLong     = sort{modelled + "BatchRequestTooLong", codePrefix + "BatchRequestTooLong", 400}
	errEmptyBatch       = sort{modelled + "EmptyBatchRequest", codePrefix + "EmptyBatchRequest", 400}
	errBatchEntryID     = sort{modelled + "InvalidBatchEntryId", codePrefix + "InvalidBatchEntryId", 400}
	errTooManyEntries   = sort{modelled + "TooManyEntriesInBatchRequest", codePrefix + "TooManyEntriesInBatchRequest", 400}
	errUnsupported      = sort{modelled + "UnsupportedOperation", codePrefix + "UnsupportedOperation", 400}
	errOverLimit        = sort{modelled + "OverLimit", "OverLimit", 403}
	errReceipt          = sort{modelled + "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 400}
	errAttributeName    = sort{modelled + "InvalidAttributeName", "InvalidAttributeName", 400}
	errAttributeValue   = sort{modelled + "InvalidAttributeValue", "InvalidAttributeValue", 400}
	errContents         = sort{modelled + "InvalidMessageContents", "InvalidMessageContents", 400}
	errNoResource       = sort{modelled + "ResourceNotFoundException", "ResourceNotFoundException", 404}
	errAddress          = sort{modelled + "InvalidAddress", "InvalidAddress", 404}
	errThrottled        = sort{modelled + "RequestThrottled", "RequestThrottled", 503}
	errInvalidParameter = sort{unmodelled + "InvalidParameterValueException", "InvalidParameterValue", 400}
	errMissingParameter = sort{unmodelled + "MissingRequiredParameterException", "MissingParameter", 400}
	errDenied           = sort{unmodelled + "AccessDeniedException", "AccessDenied", 403}
	errSerialization    = sort{unmodelled + "SerializationException", "SerializationException", 400}
	errMalformedQuery   = sort{unmodelled + "MalformedQueryStringException", "MalformedQueryString", 400}
	errUnknownOperation = sort{unmodelled + "UnknownOperationException", "UnknownOperationException", 400}
	errAction           = sort{unmodelled + "InvalidActionException", "InvalidAction", 400}
	errVersion          = sort{unmodelled + "NoSuchVersionException", "NoSuchVersion", 400}
	errMethod           = sort{unmodelled + "MethodNotAllowedException", "MethodNotAllowed", 405}
	errLength           = sort{unmodelled + "MissingContentLengthException", "MissingContentLength", 411}
	errTooLarge         = sort{unmodelled + "RequestEntityTooLargeException", "RequestEntityTooLarge", 413}
	errTimeout          = sort{unmodelled + "RequestTimeoutException", "RequestTimeout", 408}
	errUnavailable      = sort{unmodelled + "ServiceUnavailableException", "ServiceUnavailable", 503}
	errInternal         = sort{unmodelled + "InternalFailure", "InternalFailure", 500}
	errNoAuth           = sort{unmodelled + "MissingAuthenticationTokenException", "MissingAuthenticationToken", 403}
	errTwoAuths         = sort{unmodelled + "InvalidSignatureException", "InvalidSignature", 400}
	errIncompleteAuth   = sort{unmodelled + "IncompleteSignatureException", "IncompleteSignature", 400}
	errSignature        = sort{unmodelled + "InvalidSignatureException", "SignatureDoesNotMatch", 403}
	errClientToken      = sort{unmodelled + "UnrecognizedClientException", "InvalidClientTokenId", 403}
	errReplayed         = sort{unmodelled + "RequestReplayedException", "RequestReplayed", 403}
	errExpiredToken     = sort{unmodelled + "ExpiredTokenException", "ExpiredToken", 403}
)

// The sorts of errors of SNS, which has codes of its own for what others have too, and no shapes, as it does not speak JSON.
var (
	errParameter         = sort{"", "InvalidParameter", 400}
	errParameterValue    = sort{"", "ParameterValueInvalid", 400}
	errValidation        = sort{"", "ValidationError", 400}
	errNotFound          = sort{"", "NotFound", 404}
	errNoTagged          = sort{"", "ResourceNotFound", 404}
	errAuthorization     = sort{"", "AuthorizationError", 403}
	errTooFast           = sort{"", "Throttled", 429}
	errSNSInternal       = sort{"", "InternalError", 500}
	errTopicLimit        = sort{"", "TopicLimitExceeded", 403}
	errSubscriptionLimit = sort{"", "SubscriptionLimitExceeded", 403}
	errReplayLimit       = sort{"", "ReplayLimitExceeded", 403}
	errTagLimit          = sort{"", "TagLimitExceeded", 400}
	errState             = sort{"", "InvalidState", 400}
)

// Fault is an error as AWS knows it.
type Fault struct {
	sort
	message string
	cause   error // for the log
}

// Error returns the code and the message.
func (e *Fault) Error() string { return e.code + ": " + e.message }

// Unwrap returns the cause.
func (e *Fault) Unwrap() error { return e.cause }

// bySender reports whether the request is at fault, rather than the server.
func (e *Fault) bySender() bool { return e.status < http.StatusInternalServerError }

func (s sort) with(format string, args ...any) *Fault {
	return &Fault{sort: s, message: fmt.Sprintf(format, args...)}
}

func (e *Fault) because(err error) *Fault {
	e.cause = err
	return e
}

// The texts of a queue that does not exist, in JSON and in XML.
const (
	noQueue      = "The specified queue does not exist."
	noQueueQuery = "The specified queue does not exist for this wsdl version."
)

// fault returns any error as AWS knows it. Actions have told by then what means something else to them.
func fault(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	if s, ok := errors.AsType[*sigv4.Error](err); ok {
		return signatureFault(s)
	}
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return errInternal.with("The request could not be answered because of an internal error.").because(err)
	}
	return domainFault(e).because(err)
}

func signatureFault(e *sigv4.Error) *Fault {
	s := map[sigv4.Fault]sort{sigv4.Missing: errNoAuth, sigv4.Ambiguous: errTwoAuths, sigv4.Incomplete: errIncompleteAuth}[e.Fault]
	if s == (sort{}) {
		s = errSignature
	}
	return s.with("%s", e.Message)
}

// isSort reports whether err is an error of a sort.
func isSort(err error, s sort) bool { return err != nil && fault(err).sort == s }

// snsFault returns an error of any action as SNS knows it.
func (c *call) snsFault(f *Fault) *Fault {
	as := func(s sort, message string) *Fault { return &Fault{sort: s, message: message, cause: f.cause} }
	switch {
	case errors.Is(f.cause, topics.ErrTopicNotFound):
		return as(errNotFound, noTopic)
	case errors.Is(f.cause, topics.ErrSubscriptionNotFound):
		return as(errNotFound, noSubscription)
	case tenants.IsStorageFull(f.cause): // Publish has no error for a limit
		return as(errUnavailable, f.message)
	case errors.Is(f.cause, topics.ErrMessageTooLarge):
		return as(errParameter, tooLong)
	case errors.Is(f.cause, topics.ErrGroupRequired):
		return as(errParameter, noTopicGroup)
	case errors.Is(f.cause, topics.ErrDeduplicationRequired):
		return as(errParameter, noTopicDeduplication)
	}
	switch f.sort {
	case errInvalidParameter, errMissingParameter:
		return as(errParameter, "Invalid parameter: "+f.message)
	case errOverLimit:
		if c.act != nil && c.act.name == "Subscribe" {
			return as(errSubscriptionLimit, f.message)
		}
		return as(errTopicLimit, f.message)
	case errNoResource, errNoQueue:
		return as(errNotFound, f.message)
	case errDenied:
		return as(errAuthorization, f.message)
	case errThrottled:
		return as(errTooFast, f.message)
	case errUnsupported:
		return as(errState, f.message)
	case errInternal:
		return as(errSNSInternal, f.message)
	}
	if code, ok := strings.CutPrefix(f.code, codePrefix); ok {
		return as(sort{"", code, f.status}, f.message)
	}
	return f
}

func domainFault(e *errs.Error) *Fault {
	switch {
	case errors.Is(e, queues.ErrQueueNotFound):
		return errNoQueue.with(noQueue)
	case errors.Is(e, queues.ErrReceiptInvalid):
		return errReceipt.with("%s", e.Message)
	case errors.Is(e, auth.ErrKeyExpired):
		return errExpiredToken.with("The security token included in the request is expired")
	case errors.Is(e, queues.ErrGroupRequired):
		return errMissingParameter.with(noGroup)
	case errors.Is(e, queues.ErrDeduplicationRequired):
		return errInvalidParameter.with(noDeduplication)
	case errors.Is(e, queues.ErrQueuePaused):
		return errUnavailable.with("%s", e.Message)
	case tenants.IsStorageFull(e):
		return errOverLimit.with("%s", e.Message)
	case errors.Is(e, auth.ErrReplayed):
		return errReplayed.with("%s", e.Message)
	case errors.Is(e, tasks.ErrAlreadyRunning):
		return errInvalidParameter.with("There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
	}
	switch e.Kind {
	case errs.Malformed, errs.Invalid, errs.TooLarge, errs.Gone, errs.Precondition:
		return errInvalidParameter.with("%s", e.Message)
	case errs.NotFound:
		return errNoResource.with("%s", e.Message)
	case errs.Unauthenticated:
		return errClientToken.with(noToken)
	case errs.Forbidden:
		return errDenied.with("%s", e.Message)
	case errs.Quota:
		return errOverLimit.with("%s", e.Message)
	case errs.RateLimited:
		return errThrottled.with("%s", e.Message)
	case errs.Conflict:
		return errUnsupported.with("%s", e.Message)
	case errs.StorageFull, errs.Unavailable, errs.Unknown: // clients repeat what is answered so, after a while
		return errUnavailable.with("%s", e.Message)
	}
	return errInternal.with("The request could not be answered because of an internal error.")
}

const noToken = "The security token included in the request is invalid."

// clip returns text of a request for a message: printable and not longer than it needs to be seen.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		for s = s[:most]; len(s) > 0 && !utf8.ValidString(s[len(s)-1:]) && !utf8.RuneStart(s[len(s)-1]); {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	return strings.ToValidUTF8(s, "?")
}
