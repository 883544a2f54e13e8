package topics

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/queues"
)

// Envelope is the body of what an enveloped subscription gets, as JSON.
type Envelope struct {
	// ID is the id that the publish was answered with. Each queue gives the message another one.
	ID             string                       `json:"id"`
	Topic          string                       `json:"topic"`
	Subscription   string                       `json:"subscription"`
	SequenceNumber string                       `json:"sequence_number"` // 20 digits
	PublishedAt    time.Time                    `json:"published_at"`
	ContentType    string                       `json:"content_type"`
	Attributes     map[string]EnvelopeAttribute `json:"attributes"`
	GroupID        string                       `json:"group_id,omitempty"`
	Body           string                       `json:"body"`
	BodyEncoding   string                       `json:"body_encoding"` // utf8 or base64
	Traceparent    string                       `json:"traceparent,omitempty"`
}

// EnvelopeAttribute is a typed value beside the body.
type EnvelopeAttribute struct {
	Type  string `json:"type"`
	Value string `json:"value"` // of Binary the bytes in base64
}

// envelope packs a message for a subscription.
func (r *round) envelope(subscription string, p *published, toFIFO bool) queues.Delivery {
	l := p.logged()
	return r.wrapped(Wrap(r.config.name, subscription, &l), p, toFIFO)
}

// Wrap returns the body of an enveloped message, the JSON of an Envelope.
func Wrap(topicName, subscription string, l *Logged) []byte {
	m := &l.Message
	e := Envelope{ID: "msg_" + l.ID.String(), Topic: topicName, Subscription: subscription, SequenceNumber: fmt.Sprintf("%020d", l.Sequence),
		PublishedAt: l.PublishedAt, ContentType: m.ContentType, Attributes: map[string]EnvelopeAttribute{}, GroupID: m.GroupID,
		Body: string(m.Body), BodyEncoding: "utf8", Traceparent: m.TraceParent}
	if !utf8.Valid(m.Body) {
		e.Body, e.BodyEncoding = base64.StdEncoding.EncodeToString(m.Body), "base64"
	}
	for _, a := range m.Attributes {
		value := a.Value
		if a.Type == "Binary" || strings.HasPrefix(a.Type, "Binary.") {
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		e.Attributes[a.Name] = EnvelopeAttribute{Type: a.Type, Value: value}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(e) // never fails
	return bytes.TrimSuffix(body.Bytes(), []byte("\n"))
}

// wrapped is what a queue gets in the place of a message: JSON that has it. It is recognised by what is in it.
func (r *round) wrapped(body []byte, p *published, toFIFO bool) queues.Delivery {
	m := &p.message
	out := queues.Outgoing{Body: body, ContentType: "application/json", GroupID: m.GroupID, TraceParent: m.TraceParent, Hops: m.Hops}
	if toFIFO {
		if out.DeduplicationID = m.DeduplicationID; out.DeduplicationID == "" && r.config.ContentBased {
			out.DeduplicationID = queues.ContentID(m.Body)
		}
	}
	return queues.Delivery{Sequence: p.sequence, Record: out.Record(), GroupID: m.GroupID, Size: len(out.Body)}
}
