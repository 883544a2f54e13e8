package server

import (
	"fmt"
	"slices"

	"github.com/sluicemq/sluice/internal/suggest"
)

// didYouMean returns `, did you mean …?` for the name nearest to got, or "" when none is near.
func didYouMean(prefix, got string, names []string) string {
	meant := suggest.Nearest(got, names)
	if slices.Contains(names, got) { // right but for what stands before it, as in -region
		meant = got
	}
	if meant == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s%s?", prefix, meant)
}
