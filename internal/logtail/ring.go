// Package logtail keeps the latest lines of a server's log in memory, for those who follow it.
package logtail

import (
	"bytes"
	"sync"
)

// A ring keeps no more lines and bytes than this, whichever is less, and of a line no more than MaxLine bytes.
const (
	MaxLines = 1000
	MaxBytes = 512 << 10
	MaxLine  = 4 << 10
)

// Ring has the latest lines of a log as they were written. A busy server writes thousands a second and hardly ever has a
// reader, so a write is a copy and nothing more: who reads finds out what the lines say.
type Ring struct {
	server, run string

	mu          sync.Mutex
	buf         []byte // MaxBytes, which begins anew where it ends
	end         uint64 // how many bytes went in, with those that were left free at its end
	lines       [MaxLines]span
	first, next uint64 // numbers of the oldest line that is there, and of the next one to come
	followers   map[*Follower]struct{}
}

// span is where a line is, in one piece.
type span struct {
	at   uint64 // counted as end is
	size int
	cut  bool // there was more of it
}

// New returns a ring without lines. server is the name of whose log it is. run tells this ring from those of other servers, and
// of the same server before it was started again: it stands in cursors, and is letters and digits.
func New(server, run string) *Ring {
	return &Ring{server: server, run: run, buf: make([]byte, MaxBytes), followers: map[*Follower]struct{}{}}
}

// Write keeps the line p. Nobody is told of it before the next Tell.
func (r *Ring) Write(p []byte) {
	p = bytes.TrimSuffix(p, []byte{'\n'})
	cut := len(p) > MaxLine
	if cut {
		p = p[:MaxLine]
	}
	size := uint64(len(p))
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.end
	if left := MaxBytes - at%MaxBytes; left < size {
		at += left
	}
	r.end = at + size
	for r.first < r.next && (r.next-r.first == MaxLines || r.lines[r.first%MaxLines].at+MaxBytes < r.end) {
		r.first++
	}
	copy(r.buf[at%MaxBytes:], p)
	r.lines[r.next%MaxLines] = span{at, len(p), cut}
	r.next++
}

// Tell tells all followers that there may be new lines.
func (r *Ring) Tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range r.followers {
		f.tell()
	}
}
