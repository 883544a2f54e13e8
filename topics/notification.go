package topics

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/queues"
)

// Notification is the JSON that SNS sends, but for what differs between subscriptions: For adds that.
type Notification struct {
	sender     *Sender
	head, tail []byte // what stands before UnsubscribeURL, and behind it
}

// timeForm is how SNS writes times.
const timeForm = "2006-01-02T15:04:05.000Z"

// BodyEncoding is the attribute that says of a body that it stands there in base64, because it is no text.
const BodyEncoding = "Sluice-Body-Encoding"

// Notification packs a message and signs it. Messages of FIFO topics have a sequence number and no signature, as in SNS.
func (s *Sender) Notification(l *Logged) *Notification {
	m := &l.Message
	message, attributes := string(m.Body), m.Attributes
	if !utf8.Valid(m.Body) {
		message = base64.StdEncoding.EncodeToString(m.Body)
		attributes = append(attributes[:len(attributes):len(attributes)], queues.Attribute{Name: BodyEncoding, Type: "String", Value: "base64"})
	}
	signed := []member{{"Message", message}, {"MessageId", l.ID.UUID()}, {"Subject", m.Subject},
		{"Timestamp", l.PublishedAt.UTC().Format(timeForm)}, {"TopicArn", s.arn}, {"Type", "Notification"}}
	note := &Notification{sender: s, head: []byte("{")}
	add := func(name, value string) { note.head = appendMember(note.head, name, value) }
	add("Type", "Notification")
	add("MessageId", l.ID.UUID())
	if s.fifo {
		add("SequenceNumber", fmt.Sprintf("%020d", l.Sequence))
	}
	add("TopicArn", s.arn)
	if m.Subject != "" {
		add("Subject", m.Subject)
	}
	add("Message", message)
	add("Timestamp", signed[3].value)
	if !s.fifo {
		s.sign(add, signed)
	}
	if len(attributes) > 0 {
		note.tail = appendAttributes(note.tail, attributes)
	}
	return note
}

// For returns the body for a subscription that was created at an instant.
func (n *Notification) For(subscription string, created time.Time) []byte {
	s := n.sender
	arn := s.SubscriptionARN(subscription)
	body := make([]byte, 0, len(n.head)+len(n.tail)+2*len(arn)+200)
	body = append(body, n.head...)
	body = appendMember(body, "UnsubscribeURL", s.notifier.Origin+"/?Action=Unsubscribe&SubscriptionArn="+arn+
		"&Token="+s.notifier.unsubscribeToken(s.tenant, arn, created))
	return append(append(body, n.tail...), "\n}"...)
}

// sign adds the members that have the signature of others.
func (s *Sender) sign(add func(name, value string), signed []member) {
	version := "1"
	if s.version == "2" {
		version = "2"
	}
	add("SignatureVersion", version)
	add("Signature", s.key.sign(version, signed))
	add("SigningCertURL", s.notifier.Origin+s.key.path)
}

// member is a name and a value of a notification.
type member struct{ name, value string }

// sign returns the signature of members, of which those that are empty are left out, in base64.
func (k *signingKey) sign(version string, members []member) string {
	var text bytes.Buffer
	for _, m := range members {
		if m.value != "" {
			text.WriteString(m.name + "\n" + m.value + "\n")
		}
	}
	var signature []byte
	if version == "2" {
		sum := sha256.Sum256(text.Bytes())
		signature, _ = rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:]) // fails for digests of a wrong length only
	} else {
		sum := sha1.Sum(text.Bytes())
		signature, _ = rsa.SignPKCS1v15(nil, k.private, crypto.SHA1, sum[:])
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// appendMember writes a member as SNS does, on a line of its own.
func appendMember(b []byte, name, value string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(append(append(b, "\n  \""...), name...), "\" : "...)
	return append(b, quoted(value)...)
}

func appendAttributes(b []byte, list []queues.Attribute) []byte {
	b = append(b, ",\n  \"MessageAttributes\" : {"...)
	for i, a := range list {
		if i > 0 {
			b = append(b, ',')
		}
		kind, value := a.Type, a.Value
		if !utf8.ValidString(value) { // which REST allows in text, too
			kind = "Binary"
		}
		if kind == "Binary" || strings.HasPrefix(kind, "Binary.") {
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		b = append(append(append(b, "\n    "...), quoted(a.Name)...), ` : {"Type":`...)
		b = append(append(b, quoted(kind)...), `,"Value":`...)
		b = append(append(b, quoted(value)...), '}')
	}
	return append(b, "\n  }"...)
}

// quoted returns text as JSON, in which <, > and & stand for themselves.
func quoted(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // never fails for text
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
