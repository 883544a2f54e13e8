package topics

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// ConfirmTime is for how long a token confirms a subscription, as in SNS, and after which time one that nobody has confirmed ends.
const ConfirmTime = 3 * 24 * time.Hour

// Confirmation is what a token stands for that an endpoint was sent: whoever has it confirms that the endpoint wants what a
// subscription would send there.
type Confirmation struct {
	Tenant       tenants.ID
	Topic        string
	Subscription string
	uid          string // of the subscription: one of the same name that follows is another one
	wanted       string // digest of what is confirmed
	issued       time.Time
}

// storedConfirmation is a Confirmation in a token.
type storedConfirmation struct {
	Tenant string `json:"t"`
	Topic  string `json:"n"`
	Name   string `json:"s"`
	UID    string `json:"u"`
	Wanted string `json:"w"` // hexadecimal
	Issued int64  `json:"i"` // ms
}

// confirmToken returns a token by which the endpoint of a webhook confirms that it wants what is named: hexadecimal, as those of
// SNS. It is sealed, so it says nothing to who reads it.
func (n *Notifier) confirmToken(w Way, wanted string, now time.Time) string {
	raw, _ := json.Marshal(storedConfirmation{w.Tenant.String(), w.Topic, w.Subscription, w.UID, digestOf(wanted), now.UnixMilli()}) // never fails
	return hex.EncodeToString(n.tokens.Seal(nil, nil, raw, nil))
}

// OpenConfirmToken returns what a token stands for. It reports false for one that this installation did not make.
func (n *Notifier) OpenConfirmToken(token string) (*Confirmation, bool) {
	sealed, err := hex.DecodeString(token)
	if err != nil {
		return nil, false
	}
	raw, err := n.tokens.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, false
	}
	var st storedConfirmation
	if json.Unmarshal(raw, &st) != nil {
		return nil, false
	}
	owner, ok := tenants.ParseID(st.Tenant)
	return &Confirmation{owner, st.Topic, st.Name, st.UID, st.Wanted, at(st.Issued)}, ok
}

// Confirms reports whether at an instant a token confirms what is to be confirmed of a webhook.
func (c *Confirmation) Confirms(w Way, wanted string, now time.Time) bool {
	return w.UID == c.uid && digestOf(wanted) == c.wanted && now.Before(c.issued.Add(ConfirmTime))
}

func digestOf(wanted string) string {
	sum := sha256.Sum256([]byte(wanted))
	return hex.EncodeToString(sum[:16])
}

// What an endpoint is asked.
const (
	askSubscribe   = "SubscriptionConfirmation"
	askUnsubscribe = "UnsubscribeConfirmation"
)

// Question is what SNS sends to an endpoint that has to confirm something: that it wants to be sent to or, when somebody
// ended its subscription by a link, that it does after all.
type Question struct {
	Type string // as it stands in the message
	Body []byte // JSON
}

// Ask returns the question to an endpoint, signed. Wanted is what is confirmed by its token. ended says that the subscription
// was ended by a link.
func (s *Sender) Ask(id engine.ID, w Way, wanted string, now time.Time, ended bool) Question {
	token := s.notifier.confirmToken(w, wanted, now)
	kind, words := askSubscribe, "You have chosen to subscribe to the topic "+s.arn+".\nTo confirm the subscription, visit the SubscribeURL included in this message."
	if ended {
		kind, words = askUnsubscribe, "You have chosen to deactivate subscription "+s.SubscriptionARN(w.Subscription)+
			".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
	}
	url := s.notifier.Origin + "/?Action=ConfirmSubscription&TopicArn=" + s.arn + "&Token=" + token
	stamp := now.UTC().Format(timeForm)
	signed := []member{{"Message", words}, {"MessageId", id.UUID()}, {"SubscribeURL", url}, {"Timestamp", stamp}, {"Token", token}, {"TopicArn", s.arn}, {"Type", kind}}
	body := []byte("{")
	add := func(name, value string) { body = appendMember(body, name, value) }
	add("Type", kind)
	add("MessageId", id.UUID())
	add("Token", token)
	add("TopicArn", s.arn)
	add("Message", words)
	add("SubscribeURL", url)
	add("Timestamp", stamp)
	s.sign(add, signed)
	return Question{kind, append(body, "\n}"...)}
}

// SubscriptionARN returns the ARN of a subscription of the topic.
func (s *Sender) SubscriptionARN(name string) string { return s.arn + ":" + name }
