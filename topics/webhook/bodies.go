package webhook

import (
	"sync"

	"github.com/sluicemq/sluice/topics"
)

// maxBodies bounds the bytes of bodies that a server remembers.
const maxBodies = 32 << 20

// bodies remembers the latest messages that this server has carried, so that sending one to a hundred endpoints reads the
// log once. What is not there any more is read again.
type bodies struct {
	mu    sync.Mutex
	known map[place]*topics.Logged
	order []place // the oldest first
	size  int
}

// place is where a message lies: in which log, under which number.
type place struct {
	topicUID string
	sequence int64
}

func (b *bodies) put(topicUID string, l *topics.Logged) {
	at := place{topicUID, l.Sequence}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.known[at]; ok {
		return
	}
	if b.known == nil {
		b.known = map[place]*topics.Logged{}
	}
	b.known[at] = l
	b.order = append(b.order, at)
	b.size += weight(l)
	for b.size > maxBodies {
		b.size -= weight(b.known[b.order[0]])
		delete(b.known, b.order[0])
		b.order = b.order[1:]
	}
}

func (b *bodies) get(topicUID string, sequence int64) *topics.Logged {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[place{topicUID, sequence}]
}

// weight is about how many bytes a message takes.
func weight(l *topics.Logged) int {
	n := len(l.Message.Body) + len(l.Message.HTTP) + len(l.Message.HTTPS) + 512
	for _, a := range l.Message.Attributes {
		n += len(a.Name) + len(a.Type) + len(a.Value) + 64
	}
	return n
}
