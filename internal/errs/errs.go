// Package errs is the one error type that crosses package borders: what kind of failure it is, a stable code that
// programs may test, a sentence for the person who reads it, and how to mend it.
//
// Domain packages return these; only the protocol packages (handlers, handlers/aws) turn them into answers.
package errs

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a caller can do about an error. Protocols map kinds to their own status codes.
type Kind uint8

// The kinds. Anything that is not an *Error is Internal: its text never leaves the process.
const (
	Internal        Kind = iota // a bug or damaged data; the caller can do nothing
	Malformed                   // the request cannot be parsed
	Invalid                     // it parses, but a value is not allowed
	Unauthenticated             // no credential, or one that does not hold
	Forbidden                   // a good credential without the permission
	NotFound                    // no such thing, or not for this caller
	Conflict                    // the state of the thing forbids it now
	Gone                        // it was there and is over, such as a lost lease
	Precondition                // If-Match or If-None-Match did not hold
	TooLarge                    // more bytes or items than allowed
	Quota                       // a static limit is reached
	RateLimited                 // too many requests; later is fine
	StorageFull                 // no room for more messages; receiving goes on
	Unavailable                 // certainly not done; trying again is safe
	Unknown                     // may or may not have been done
)

// Error is a failure that a caller may see.
type Error struct {
	Kind       Kind
	Code       string        // stable snake_case name, for example "queue_not_found"
	Message    string        // one sentence for people, without secrets
	Fix        string        // what to try next, often a command; may be empty
	Fields     []Field       // the parts of the request at fault; may be empty
	RetryAfter time.Duration // zero: no advice
	Usage      *Usage        // the limit that is reached, of kind Quota; may be nil
	Err        error         // the cause, for the log only
}

// Field names one part of a request that is at fault.
type Field struct {
	Pointer string // JSON Pointer into the body, or "" when another place is meant
	Header  string // header name, when a header is at fault
	Query   string // query parameter name, when one is at fault
	Code    string // stable snake_case name, for example "out_of_range"
	Message string // what is allowed and what came
	// Line and Column are where in a text of several words the fault is, counted in characters from 1. 0: not known.
	Line, Column int
}

// Usage is a limit and how much of it is used.
type Usage struct {
	Quota string // stable snake_case name of the limit
	Limit int64
	Used  int64
}

// New returns an Error without a cause.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Errorf returns an Error whose message is formatted. Use %w to keep a cause for the log.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// WithFix returns a copy of e that says what to try next.
func (e *Error) WithFix(format string, args ...any) *Error {
	c := *e
	c.Fix = fmt.Sprintf(format, args...)
	return &c
}

// WithField returns a copy of e that also names f.
func (e *Error) WithField(f Field) *Error {
	c := *e
	c.Fields = append(append([]Field(nil), e.Fields...), f)
	return &c
}

// Because returns a copy of e with the cause err, which is logged and never shown.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Error returns the message and, for the log, the cause.
func (e *Error) Error() string {
	if e.Err != nil && e.Err.Error() != e.Message {
		return e.Code + ": " + e.Message + ": " + e.Err.Error()
	}
	return e.Code + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an Error with the same code, so that a sentinel matches each of its copies.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// KindOf returns the kind of the first Error in err's chain, and Internal when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Invalidf returns a validation failure of one body member: status 422 in REST.
func Invalidf(pointer, format string, args ...any) *Error {
	msg := fmt.Sprintf(format, args...)
	return &Error{Kind: Invalid, Code: "validation_failed", Message: msg,
		Fields: []Field{{Pointer: pointer, Code: "invalid", Message: msg}}}
}
