package handlers

import (
	"time"

	"github.com/sluicemq/sluice/topics/webhook"
)

// WebhookBatch says how many messages one request of a webhook carries. A request is made when there are as many, or so many bytes,
// or when the first one has waited for long.
type WebhookBatch struct {
	// Messages of one request at most.
	Messages *int `json:"max_messages,omitempty" validate:"omitempty,min=1,max=100" default:"10" example:"10"`
	// Bytes of the body of one request at most, unless it carries one message.
	Bytes *int `json:"max_bytes,omitempty" validate:"omitempty,min=1024,max=1048576" default:"262144" example:"262144"`
	// Seconds, or text such as "5s", that a message waits for others at most.
	Wait *int `json:"max_wait,omitempty" validate:"omitempty,min=0,max=60" default:"1" example:"1"`
}

// webhookBatch reads a WebhookBatch.
func (r *reader) webhookBatch() *webhook.Batch {
	b := webhook.DefaultBatch
	r.object([]string{"max_messages", "max_bytes", "max_wait"}, func(key []byte) {
		switch string(key) {
		case "max_messages":
			if n, ok := r.integer(1, webhook.MaxBatchMessages); ok {
				b.Messages = int(n)
			}
		case "max_bytes":
			if n, ok := r.integer(webhook.MinBatchBytes, webhook.MaxBatchBytes); ok {
				b.Bytes = int(n)
			}
		case "max_wait":
			d, ok := r.duration()
			if ok && (d < 0 || d > webhook.MaxBatchWait) {
				r.fault("out_of_range", "must be 0 to %d seconds", int(webhook.MaxBatchWait/time.Second))
			}
			b.Wait = d
		}
	})
	return &b
}

func shownBatch(b *webhook.Batch) *WebhookBatch {
	if b == nil {
		return nil
	}
	wait := wholeSeconds(b.Wait)
	return &WebhookBatch{Messages: &b.Messages, Bytes: &b.Bytes, Wait: &wait}
}
