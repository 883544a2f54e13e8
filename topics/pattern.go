package topics

import (
	"slices"
	"strings"

	"github.com/sluicemq/sluice/internal/errs"
)

// A pattern stands for names of topics. It has segments between dots, as the names have: * stands for any one segment, and # at the
// end for any number of them, also none. The end .fifo is no segment but says, as it does in names, of which kind the topics are: a
// pattern that has it stands for FIFO topics only, and one that has not for no FIFO topic.

const (
	anySegment = "*"
	anyRest    = "#"
)

// ValidPattern reports what is wrong with a pattern, or nil.
func ValidPattern(pattern string) error {
	invalid := func(format string, args ...any) error { return errs.Invalidf("/pattern", format, args...) }
	if pattern == "" {
		return invalid(`A topic subscription needs a pattern, such as "orders.*.created" or "orders.#".`)
	}
	if len(pattern) > MaxNameLength {
		return invalid("The pattern has %d characters, and the names of topics at most %d.", len(pattern), MaxNameLength)
	}
	list := strings.Split(strings.TrimSuffix(pattern, fifoSuffix), ".")
	wild := false
	for i, segment := range list {
		switch {
		case segment == anySegment:
			wild = true
		case segment == anyRest && i < len(list)-1:
			return invalid("# stands for the rest of a name, so it comes last; for one segment there is *.")
		case segment == anyRest:
			wild = true
		case segment == "":
			return invalid("The pattern has an empty segment: single dots stand between segments.")
		case strings.ContainsAny(segment, anySegment+anyRest):
			return invalid("* and # stand for whole segments: write %q as a segment of its own.", anySegment)
		case segment == ">":
			return invalid("The rest of a name is #, as in RabbitMQ, and not >.")
		case !validSegment(segment):
			return invalid("Segments of a pattern have letters, digits, - and _, or are * or #.")
		}
	}
	if !wild {
		e := errs.Invalidf("/pattern", "The pattern has neither * nor #, so it names one topic.")
		e.Fix = "Use an ordinary subscription: PUT /v1/topics/{topic}/subscriptions/{subscription}."
		return e
	}
	return nil
}

// matches reports whether a pattern stands for a topic's name.
func matches(pattern, name string) bool {
	if IsFIFOName(pattern) != IsFIFOName(name) {
		return false
	}
	want, have := strings.Split(strings.TrimSuffix(pattern, fifoSuffix), "."), strings.Split(strings.TrimSuffix(name, fifoSuffix), ".")
	if last := len(want) - 1; want[last] == anyRest {
		if len(have) < last {
			return false
		}
		want, have = want[:last], have[:last]
	}
	return slices.EqualFunc(want, have, func(w, h string) bool { return w == anySegment || w == h })
}
