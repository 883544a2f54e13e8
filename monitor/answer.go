package monitor

import "strconv"

// text returns element i of an answer, and "" where there is none.
func text(list []any, i int) string {
	if i >= len(list) {
		return ""
	}
	s, _ := list[i].(string)
	return s
}

// number returns element i of an answer as a number.
func number(list []any, i int) int64 {
	n, _ := strconv.ParseInt(text(list, i), 10, 64)
	return n
}
