package handlers

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/suggest"
)

// maxParameters is how many parameters an operation may have: those of the request log. The values need no memory of their own.
const maxParameters = 9

// query is what stands behind the ? of a request. Each parameter is known and stands there once.
type query struct {
	names  []string
	values [maxParameters]string
	given  [maxParameters]bool
}

// readQuery reads the query of a request that may have the parameters names, at most maxParameters.
func readQuery(c echo.Context, names ...string) (query, error) {
	q := query{names: names}
	raw := c.Request().URL.RawQuery
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := unescapeQuery(name)
		if err != nil {
			return q, err
		}
		if value, err = unescapeQuery(value); err != nil {
			return q, err
		}
		i := q.index(name)
		switch {
		case i < 0:
			return q, unknownParameter(name, names)
		case q.given[i]:
			return q, queryFault(name, "duplicate", "must be given once")
		}
		q.values[i], q.given[i] = value, true
	}
	return q, nil
}

func unescapeQuery(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	plain, err := url.QueryUnescape(s)
	if err != nil {
		return "", errs.New(errs.Malformed, errMalformed.Code, "The query has a % that is not followed by two hexadecimal digits.")
	}
	return plain, nil
}

func unknownParameter(name string, names []string) error {
	message := "is not a parameter of this operation"
	if meant := suggest.Nearest(name, names); meant != "" {
		message += fmt.Sprintf("; did you mean %q?", meant)
	}
	return queryFault(printable(name, suggest.MaxLength), "unknown_parameter", message)
}

func queryFault(name, code, message string) error {
	return invalid([]errs.Field{{Query: name, Code: code, Message: message}})
}

func (q *query) index(name string) int {
	for i, n := range q.names {
		if n == name {
			return i
		}
	}
	return -1
}

// text returns a parameter, and "" where it is not given.
func (q *query) text(name string) string { return q.values[q.index(name)] }

// has reports whether a parameter is given.
func (q *query) has(name string) bool { return q.given[q.index(name)] }

// number returns a parameter that is a whole number from low to high, or otherwise when it is not given.
func (q *query) number(name string, otherwise, low, high int) (int, error) {
	if !q.has(name) {
		return otherwise, nil
	}
	n, ok := parseNumber(q.text(name))
	if !ok {
		return 0, queryFault(name, "wrong_type", "must be a whole number")
	}
	if n < int64(low) || n > int64(high) {
		return 0, queryFault(name, "out_of_range", fmt.Sprintf("must be %d to %d, got %d", low, high, n))
	}
	return int(n), nil
}

// flag returns a parameter that is true or false. One without a value is true.
func (q *query) flag(name string) (bool, error) {
	switch {
	case !q.has(name), q.text(name) == "false":
		return false, nil
	case q.text(name) == "true", q.text(name) == "":
		return true, nil
	}
	return false, queryFault(name, "wrong_type", "must be true or false")
}

// duration returns a parameter that is a time span, or nil when it is not given.
func (q *query) duration(name string) (*time.Duration, error) {
	if !q.has(name) {
		return nil, nil
	}
	d, ok := parseDuration(q.text(name))
	if !ok {
		return nil, queryFault(name, "wrong_type", wantDuration)
	}
	return &d, nil
}

// upTo is duration for one that is between 0 and limit.
func (q *query) upTo(name string, limit time.Duration) (*time.Duration, error) {
	d, err := q.duration(name)
	if err == nil && d != nil && (*d < 0 || *d > limit) {
		err = queryFault(name, "out_of_range", fmt.Sprintf("must be 0 to %d seconds", wholeSeconds(limit)))
	}
	return d, err
}

// choice returns a parameter that is one of words, of which the first one stands for none.
func (q *query) choice(name string, words ...string) (string, error) {
	if !q.has(name) {
		return words[0], nil
	}
	for _, w := range words {
		if q.text(name) == w {
			return w, nil
		}
	}
	return "", queryFault(name, "not_allowed", "must be one of "+strings.Join(words, ", "))
}

// readNames reads the one parameter of a request that asks for several things by their names, at most so many.
func readNames(c echo.Context, parameter string, most int) ([]string, error) {
	q, err := readQuery(c, parameter)
	if err != nil {
		return nil, err
	}
	if q.text(parameter) == "" {
		return nil, queryFault(parameter, "required", "must have at least one name")
	}
	names := strings.Split(q.text(parameter), ",")
	if len(names) > most {
		return nil, queryFault(parameter, "out_of_range", fmt.Sprintf("must have at most %d names, got %d", most, len(names)))
	}
	return names, nil
}
