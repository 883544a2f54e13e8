package redistest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// slots is the number of hash slots of a Redis cluster.
const slots = 16384

// member is one node as another node sees it.
type member struct {
	id        string
	self      bool
	master    bool
	handshake bool
	of        string // a replica's master
	epoch     int64
	ranges    []string // "0-5460" or "7"
}

// parseView reads the answer to CLUSTER NODES, whose lines read
// "id ip:port@bus flags master ping-sent pong-received epoch link slot…".
func parseView(text string) ([]member, error) {
	var view []member
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("node line %q", line)
		}
		epoch, err := strconv.ParseInt(f[6], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("node line %q: %w", line, err)
		}
		flags := strings.Split(f[2], ",")
		m := member{
			id:        f[0],
			self:      slices.Contains(flags, "myself"),
			master:    slices.Contains(flags, "master"),
			handshake: slices.Contains(flags, "handshake"),
			epoch:     epoch,
		}
		if !m.master {
			m.of = f[3]
		}
		for _, r := range f[8:] {
			if !strings.HasPrefix(r, "[") { // an open migration, which only its two ends know of
				m.ranges = append(m.ranges, r)
			}
		}
		view = append(view, m)
	}
	return view, nil
}

// myself returns the node that told the view.
func myself(view []member) (member, error) {
	for _, m := range view {
		if m.self {
			return m, nil
		}
	}
	return member{}, fmt.Errorf("view without its own node: %v", view)
}

// owns reports whether the node serves slot.
func (m member) owns(slot int) bool {
	for _, r := range m.ranges {
		from, to, ok := strings.Cut(r, "-")
		if !ok {
			to = from
		}
		lo, err1 := strconv.Atoi(from)
		hi, err2 := strconv.Atoi(to)
		if err1 == nil && err2 == nil && lo <= slot && slot <= hi {
			return true
		}
	}
	return false
}

// topology says who is who and who owns what, in a form that is equal for two nodes that agree.
func topology(view []member) string {
	lines := make([]string, len(view))
	for i, m := range view {
		lines[i] = fmt.Sprintf("%s master=%t of=%s slots=%v", m.id, m.master, m.of, m.ranges)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
