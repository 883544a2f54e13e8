// Package suggest finds the name that somebody meant who misspelled it.
package suggest

// MaxLength bounds the work on a name that somebody has pasted by mistake, in bytes. For a longer one nothing is found.
const MaxLength = 80

// Nearest returns the name that is probably meant by got, or "" when none is near: at most two letters off, or a third
// of them when it is long.
func Nearest(got string, names []string) string {
	if len(got) > MaxLength {
		return ""
	}
	best, least := "", max(min(2, len(got)-1), len(got)/3)+1
	for _, name := range names {
		if len(name) > MaxLength || name == got {
			continue
		}
		if d := distance(got, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters to insert, delete, change or swap with their neighbour it takes from a to b, without
// regard to upper and lower case.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if lower(a[i-1]) == lower(b[j-1]) {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && lower(a[i-1]) == lower(b[j-2]) && lower(a[i-2]) == lower(b[j-1]) {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
