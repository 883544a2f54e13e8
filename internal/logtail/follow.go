package logtail

import (
	"errors"
	"strconv"
	"strings"
)

// ErrCursor says that a text is no cursor of a line.
var ErrCursor = errors.New("not the cursor of a line of the log")

// Follower takes the lines of a ring as they come. It is used by one goroutine. Close it.
type Follower struct {
	ring    *Ring
	next    uint64
	resumed bool
	changed chan struct{}
}

// Follow returns who takes the lines behind the one with this cursor, and all that are kept where cursor is "", or of another run:
// what a line there is called is not known here. The error is ErrCursor.
func (r *Ring) Follow(cursor string) (*Follower, error) {
	f := &Follower{ring: r, changed: make(chan struct{}, 1)}
	f.tell() // what is there already
	r.mu.Lock()
	defer r.mu.Unlock()
	f.next = r.first
	if cursor != "" {
		run, text, _ := strings.Cut(cursor, "-")
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || len(run) != len(r.run) {
			return nil, ErrCursor
		}
		if run == r.run {
			if n >= r.next {
				return nil, ErrCursor
			}
			f.next, f.resumed = n+1, true
		}
	}
	r.followers[f] = struct{}{}
	return f, nil
}

// Close ends the following.
func (f *Follower) Close() {
	f.ring.mu.Lock()
	defer f.ring.mu.Unlock()
	delete(f.ring.followers, f)
}

// Changed gets a value after lines came.
func (f *Follower) Changed() <-chan struct{} { return f.changed }

// Resumed reports whether it goes on behind a line that it was given the cursor of.
func (f *Follower) Resumed() bool { return f.resumed }

// Server returns the name of whose log it is.
func (f *Follower) Server() string { return f.ring.server }

func (f *Follower) tell() {
	select {
	case f.changed <- struct{}{}:
	default: // the last one was not noticed yet
	}
}

// Take returns the lines that came since it was called last, at most MaxLines, and how many were gone before it was called.
func (f *Follower) Take() (lines []Line, gone int64) {
	first, kept, gone := f.copy()
	lines = make([]Line, len(kept))
	for i, k := range kept {
		lines[i] = parse(k.text, k.cut)
		lines[i].Cursor = f.ring.run + "-" + strconv.FormatUint(first+uint64(i), 10)
	}
	return lines, gone
}

type kept struct {
	text []byte
	cut  bool
}

// copy copies what is to be taken, so that nobody who writes waits for what is done with it.
func (f *Follower) copy() (first uint64, lines []kept, gone int64) {
	r := f.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.next < r.first {
		gone = int64(r.first - f.next)
		f.next = r.first
	}
	first = f.next
	if first == r.next {
		return first, nil, gone
	}
	lines = make([]kept, 0, r.next-first)
	size := 0
	for n := first; n < r.next; n++ {
		size += r.lines[n%MaxLines].size
	}
	all := make([]byte, 0, size)
	for ; f.next < r.next; f.next++ {
		l := r.lines[f.next%MaxLines]
		from := len(all)
		all = append(all, r.buf[l.at%MaxBytes:][:l.size]...)
		lines = append(lines, kept{all[from:], l.cut})
	}
	return first, lines, gone
}
