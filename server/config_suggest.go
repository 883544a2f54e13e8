package server

import "fmt"

// maxSuggestLength bounds the work on a name that somebody has pasted by mistake.
const maxSuggestLength = 64

// didYouMean returns `, did you mean …?` for the name nearest to got, or "" when none is near: two letters off, or a
// third of them.
func didYouMean(prefix, got string, names []string) string {
	if len(got) > maxSuggestLength {
		return ""
	}
	best, least := "", max(2, len(got)/3)+1
	for _, name := range names {
		if d := editDistance(got, name); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s%s?", prefix, best)
}

// editDistance is the number of letters to insert, delete or change between a and b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
