package server

import (
	"context"
	"io"
)

// RotateMasterKeyInSteps is RotateMasterKeyCommand, and calls a function after each step, whose error ends it there.
var RotateMasterKeyInSteps = rotateMasterKey

// ExamineWhileOthersLook asks a server to look at itself that does so already.
func ExamineWhileOthersLook(ctx context.Context) ([]Finding, error) {
	h := newHost(nil, nil)
	h.busy <- struct{}{}
	return h.Examine(ctx, false)
}

// NewLogWriter is what a server writes its log through.
func NewLogWriter(out io.Writer) io.Writer { return newLogWriter(out) }
