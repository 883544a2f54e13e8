package handlers

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// Page is one part of a list.
type Page[T any] struct {
	Data []T `json:"data"`
	// Send it as `cursor` to get the next part; null on the last one.
	NextCursor *string `json:"next_cursor" extensions:"x-nullable" example:"cQBvAG9yZGVycw"`
}

const (
	defaultLimit = 50
	maxLimit     = 500
)

// encodeCursor returns the cursor of a list that goes on behind after. It holds only for the same list with the same
// filter.
func encodeCursor(list, filter, after string) string {
	if after == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + filter + "\x00" + after))
}

// decodeCursor returns what encodeCursor was given for after, and "" for no cursor.
func decodeCursor(list, filter string, q *query) (after string, err error) {
	if !q.has("cursor") {
		return "", nil
	}
	if after, ok := openCursor(list, filter, q.text("cursor")); ok {
		return after, nil
	}
	return "", cursorFault
}

// openCursor is decodeCursor for a cursor that stands elsewhere, and reports whether it is one of this list.
func openCursor(list, filter, cursor string) (after string, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return "", false
	}
	after, ok = strings.CutPrefix(string(raw), list+"\x00"+filter+"\x00")
	return after, ok && after != ""
}

var cursorFault = queryFault("cursor", "invalid", "must be the next_cursor of this list with the same filters; start again without it")

// answerPage answers with one part of a list. next is the cursor of the following part, and "" on the last one.
func answerPage[T any](a *API, c echo.Context, data []T, next string) error {
	p := Page[T]{Data: data}
	if next != "" {
		p.NextCursor = &next
		setNext(c, next)
	}
	return a.json(c, 200, p)
}

// setNext adds the link to the next part. It is relative, so it holds below any prefix that a proxy adds.
func setNext(c echo.Context, cursor string) {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return
	}
	values.Set("cursor", cursor)
	c.Response().Header().Set("Link", `<?`+values.Encode()+`>; rel="next"`)
}

// pageQuery reads limit.
func pageQuery(q *query) (limit int, err error) { return q.number("limit", defaultLimit, 1, maxLimit) }

// part is what a request asks of a list of names: those that begin with prefix, at most limit of them, behind after.
type part struct {
	prefix, after string
	limit         int
	list, bound   string
}

// readPart reads the query of a request for a part of list. within is what the list belongs to, such as the queue of
// schedules, and "" where there is one list.
func readPart(c echo.Context, list, within string) (part, error) {
	q, err := readQuery(c, "prefix", "limit", "cursor")
	if err != nil {
		return part{}, err
	}
	p := part{prefix: q.text("prefix"), list: list}
	p.bound = within + "\x00" + p.prefix
	if p.limit, err = pageQuery(&q); err != nil {
		return part{}, err
	}
	p.after, err = decodeCursor(list, p.bound, &q)
	return p, err
}

// cursor returns the cursor of the part that goes on behind next.
func (p part) cursor(next string) string { return encodeCursor(p.list, p.bound, next) }
