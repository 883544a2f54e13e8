package engine

import "strconv"

// Text returns element i of a script's answer, and "" where there is none.
func Text(answer []any, i int) string {
	if i >= len(answer) {
		return ""
	}
	s, _ := answer[i].(string)
	return s
}

// Number returns element i of a script's answer as a number, and 0 where there is none. Scripts answer with text: numbers
// would lose digits.
func Number(answer []any, i int) int64 {
	n, _ := strconv.ParseInt(Text(answer, i), 10, 64)
	return n
}
