// Package room bounds the memory that requests take while they come and answers while they go.
package room

import (
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
)

// ErrOverloaded refuses what there is no room for now. Overloaded returns it with the advice to wait.
var ErrOverloaded = &errs.Error{Kind: errs.Unavailable, Code: "overloaded",
	Message: "The server is working on as many requests as it can. Nothing was changed.",
	Fix:     "Send the request again after the time in Retry-After, or start more servers."}

// Overloaded returns ErrOverloaded with the advice to wait for one to three seconds: clients that were refused together
// shall not come back together.
func Overloaded() *errs.Error {
	e := *ErrOverloaded
	e.RetryAfter = time.Duration(1+rand.IntN(3)) * time.Second
	return &e
}

// Small is how many bytes of each body, and how large an answer, need no room: who acknowledges and deletes gets through
// while others send and receive much. The number of requests under way bounds them.
const Small = 64 << 10

// Room is so many bytes that may be held at the same time. A nil Room has no end.
type Room struct {
	most   int64
	held   atomic.Int64
	moving atomic.Int64
}

// New returns a room for so many bytes.
func New(most int64) *Room { return &Room{most: most} }

// Held returns how many bytes are held.
func (r *Room) Held() int64 { return r.held.Load() }

// Moving returns how many bodies somebody reads, and how many large answers somebody sends: what those take is up to the
// client.
func (r *Room) Moving() int64 { return r.moving.Load() }

// Has reports whether there is room for n bytes now.
func (r *Room) Has(n int64) bool { return r == nil || n <= Small || r.held.Load()+n <= r.most }

// Take holds n bytes, or returns ErrOverloaded. give gives them back.
func (r *Room) Take(n int64) (give func(), err error) {
	if r == nil || n <= Small {
		return func() {}, nil
	}
	if r.held.Add(n) > r.most {
		r.held.Add(-n)
		return nil, Overloaded()
	}
	return r.move(n), nil
}

// Hold holds n bytes, also where there is no room for them: for what would be lost otherwise.
func (r *Room) Hold(n int64) (give func()) {
	if r == nil || n <= Small {
		return func() {}
	}
	r.held.Add(n)
	return r.move(n)
}

func (r *Room) move(n int64) (give func()) {
	r.moving.Add(1)
	return func() {
		r.held.Add(-n)
		r.moving.Add(-1)
	}
}

// Body is the body of a request, which takes room as it comes: not what a client only says that it will send.
type Body struct {
	io.ReadCloser
	room        *Room
	read, taken int64
}

// NewBody returns the body that reads from b.
func NewBody(b io.ReadCloser, room *Room) *Body { return &Body{ReadCloser: b, room: room} }

// Read reads, and returns ErrOverloaded when there is no room for what has come.
func (b *Body) Read(p []byte) (int, error) {
	b.room.moving.Add(1)
	n, err := b.ReadCloser.Read(p)
	b.room.moving.Add(-1)
	if b.read += int64(n); b.read > Small && n > 0 {
		b.taken += int64(n)
		if b.room.held.Add(int64(n)) > b.room.most {
			return 0, Overloaded()
		}
	}
	return n, err
}

// Release gives the room back. The body must not be read any more.
func (b *Body) Release() {
	b.room.held.Add(-b.taken)
	b.taken = 0
}
