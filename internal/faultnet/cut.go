package faultnet

// cut ends a connection at a byte.
type cut struct {
	after int64
	every bool
	left  map[*link]int64 // bytes to go, on the links that have begun; on one at most, unless every
	fired chan struct{}   // closed once it has
}

func newCut(after int64, every bool) *cut {
	return &cut{after: after, every: every, left: map[*link]int64{}, fired: make(chan struct{})}
}

// take returns how many of n bytes may pass on l, and whether the link ends after them.
func (c *cut) take(l *link, n int) (pass int, ends bool) {
	left, begun := c.left[l]
	if !begun {
		if !c.every && len(c.left) > 0 {
			return n, false // it is another link's
		}
		left = c.after
	}
	if int64(n) < left {
		c.left[l] = left - int64(n)
		return n, false
	}
	delete(c.left, l)
	return int(left), true
}
