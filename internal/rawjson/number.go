package rawjson

import (
	"cmp"
	"strconv"
	"strings"
)

// Number is a number as it is written, so that long ones such as 64-bit ids are compared to the last digit. The zero value
// is 0.
type Number struct {
	negative  bool
	whole     string // digits before the point, and behind it; together they begin and end with other digits than 0
	fraction  string
	magnitude int64 // the number is 0.DIGITS × 10^magnitude
}

// maxExponent bounds exponents: a larger one counts as this one.
const maxExponent = 1_000_000_000

// ParseNumber reads a number as JSON or an attribute of type Number has it. It keeps parts of s, and copies nothing.
func ParseNumber(s string) (Number, bool) {
	var d Number
	rest, signed := strings.CutPrefix(s, "-")
	if d.negative = signed; !signed {
		rest = strings.TrimPrefix(s, "+")
	}
	d.whole, rest = cutDigits(rest)
	digits := len(d.whole)
	if behind, ok := strings.CutPrefix(rest, "."); ok {
		d.fraction, rest = cutDigits(behind)
		digits += len(d.fraction)
	}
	if digits == 0 {
		return d, false
	}
	exponent := int64(0)
	if rest != "" {
		var ok bool
		if exponent, ok = parseExponent(rest); !ok {
			return d, false
		}
	}
	d.magnitude = exponent + int64(len(d.whole))
	if d.fraction = strings.TrimRight(d.fraction, "0"); d.fraction == "" {
		d.whole = strings.TrimRight(d.whole, "0")
	}
	length := len(d.whole)
	d.whole = strings.TrimLeft(d.whole, "0")
	d.magnitude -= int64(length - len(d.whole))
	if d.whole == "" {
		length = len(d.fraction)
		d.fraction = strings.TrimLeft(d.fraction, "0")
		d.magnitude -= int64(length - len(d.fraction))
	}
	if d.whole == "" && d.fraction == "" {
		return Number{}, true
	}
	return d, true
}

// parseExponent reads e and what follows.
func parseExponent(s string) (int64, bool) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s, negative := strings.CutPrefix(s[1:], "-")
	if !negative {
		s = strings.TrimPrefix(s, "+")
	}
	digits, rest := cutDigits(s)
	if digits == "" || rest != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > maxExponent {
		n = maxExponent
	}
	if negative {
		n = -n
	}
	return n, true
}

// Compare returns -1, 0 or 1.
func (d *Number) Compare(other *Number) int {
	sign, otherSign := d.sign(), other.sign()
	if sign != otherSign || sign == 0 {
		return cmp.Compare(sign, otherSign)
	}
	if d.magnitude != other.magnitude {
		return sign * cmp.Compare(d.magnitude, other.magnitude)
	}
	if d.fraction == "" && other.fraction == "" {
		return sign * strings.Compare(d.whole, other.whole)
	}
	for i := range max(d.length(), other.length()) {
		if c := cmp.Compare(d.digit(i), other.digit(i)); c != 0 {
			return sign * c
		}
	}
	return 0
}

func (d *Number) sign() int {
	switch {
	case d.length() == 0:
		return 0
	case d.negative:
		return -1
	}
	return 1
}

func (d *Number) length() int { return len(d.whole) + len(d.fraction) }

// digit returns a digit, and 0 behind the last one.
func (d *Number) digit(i int) byte {
	switch {
	case i < len(d.whole):
		return d.whole[i]
	case i < d.length():
		return d.fraction[i-len(d.whole)]
	}
	return '0'
}

// cutDigits splits what begins with digits.
func cutDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}
