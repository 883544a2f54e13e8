package webhook

import (
	"context"
	"strconv"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/topics"
)

// Missed returns what a webhook has missed, the lowest sequence numbers first.
func (s *Store) Missed(ctx context.Context, w topics.Way) ([]topics.Gap, error) {
	list, err := s.call(ctx, statusScript, identity{w.Tenant, w.UID})
	if err != nil {
		return nil, gone(err)
	}
	return parseGaps(engine.Text(list, 28)), nil
}

// parseGaps reads what lua/lib/gaps.lua wrote. What cannot be read is left out.
func parseGaps(text string) []topics.Gap {
	var out []topics.Gap
	for one := range strings.FieldsSeq(text) {
		var n [3]int64
		fields := strings.Split(one, ",")
		for i := range min(len(n), len(fields)) {
			n[i], _ = strconv.ParseInt(fields[i], 10, 64)
		}
		if len(fields) == len(n) && n[0] > 0 && n[1] >= n[0] {
			out = append(out, topics.Gap{First: n[0], Last: n[1], Count: n[2]})
		}
	}
	return out
}
