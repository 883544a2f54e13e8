package webhook

import (
	"sync"

	"github.com/sluicemq/sluice/topics"
)

// maxNotes bounds the notifications that a server remembers, by the bytes of their messages.
const maxNotes = 8 << 20

// notes remembers the latest notifications, so that a message is signed once for all endpoints and attempts: a signature takes
// almost two milliseconds.
type notes struct {
	mu    sync.Mutex
	known map[signedPlace]*note
	order []signedPlace // the oldest first
	size  int
}

// signedPlace is a message in a log, and by which rules it is signed.
type signedPlace struct {
	place
	version string
	own     string // the text that is for some endpoints only, where the message says something else to others
}

type note struct {
	once   sync.Once
	made   *topics.Notification
	weight int
}

// of returns the notification of a message.
func (n *notes) of(topicUID string, sender *topics.Sender, l *topics.Logged) *topics.Notification {
	if l.Sequence == 0 { // it is in no log
		return sender.Notification(l)
	}
	at := signedPlace{place: place{topicUID, l.Sequence}, version: sender.SignatureVersion()}
	if l.Message.HTTP != "" || l.Message.HTTPS != "" {
		at.own = string(l.Message.Body)
	}
	one := n.take(at, weight(l))
	one.once.Do(func() { one.made = sender.Notification(l) })
	return one.made
}

func (n *notes) take(at signedPlace, weight int) *note {
	n.mu.Lock()
	defer n.mu.Unlock()
	if one, ok := n.known[at]; ok {
		return one
	}
	if n.known == nil {
		n.known = map[signedPlace]*note{}
	}
	one := &note{weight: weight}
	n.known[at] = one
	n.order = append(n.order, at)
	n.size += weight
	for n.size > maxNotes && len(n.order) > 1 {
		n.size -= n.known[n.order[0]].weight
		delete(n.known, n.order[0])
		n.order = n.order[1:]
	}
	return one
}
