package search

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// pattern is text with wildcards: what stands before, between and behind them. It has two pieces or more.
type pattern []string

// match reports whether all of s is as the pattern says. Each piece is taken where it comes first, so nothing is looked
// at again, however many wildcards there are.
func (p pattern) match(s string) bool {
	s, ok := strings.CutPrefix(s, p[0])
	if !ok {
		return false
	}
	for _, piece := range p[1 : len(p)-1] {
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
	return strings.HasSuffix(s, p[len(p)-1])
}

// appendFolded appends s with each letter replaced by the one that stands for all of its cases, which is never longer.
// What is not UTF-8 stays.
func appendFolded(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			b = append(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, c)
		} else {
			b = utf8.AppendRune(b, fold(r))
		}
		i += n
	}
	return b
}

// fold returns the smallest of the cases of r.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}
