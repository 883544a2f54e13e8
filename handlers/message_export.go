package handlers

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// maxExportIDs is how many messages an export may name by their ids. Each of them is a call of Redis.
const maxExportIDs = 100

const tableMedia = "text/csv; charset=utf-8"

// exportMessages writes messages into a file.
//
//	@Summary		Export messages
//	@Description	One message a line: as JSON, as a look shows it, or as CSV with a line of names first. Takes nothing and changes nothing.
//	@Description
//	@Description	One request looks at 10,000 messages or 16 MiB at most, for about a second. `Scanned-Messages` says at how many it has looked, and where it did not come to the end of the queue there is a `Link` to the next part: no part is the whole without your knowing. `cursor` is in that link; a later part in CSV has the names again.
//	@Description
//	@Description	In CSV attributes are one column of JSON, and a cell that a spreadsheet would take for a formula has a `'` in front. JSON is exact.
//	@ID				exportMessages
//	@Tags			messages
//	@Param			queue	path		string		true	"Name of the queue"
//	@Param			format	query		string		false	"How they are written"	Enums(ndjson, csv)	default(ndjson)
//	@Param			ids		query		string		false	"Only these, at most 100 with commas between them; what is not there any more is left out. Not together with the others"	maxlength(4096)
//	@Param			state	query		string		false	"Only messages in this state"	Enums(all, available, in_flight, delayed)	default(all)
//	@Param			filter	query		string		false	"Only messages that match"	maxlength(4096)
//	@Param			limit	query		int			false	"How many at most"	minimum(1)	maximum(10000)	default(10000)
//	@Param			cursor	query		string		false	"From the Link of the part before, which had the same state and filter"
//	@Success		200		{object}	Message		"The messages"
//	@Header			200		{string}	Link		"The next part, with rel=next"
//	@Header			200		{integer}	Scanned-Messages	"How many messages were looked at for this part"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such queue"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed, or the filter is wrong"
//	@Router			/v1/queues/{queue}/export [get]
func (a *API) exportMessages(c echo.Context) error {
	q, err := readQuery(c, "format", "ids", "state", "filter", "limit", "cursor")
	if err != nil {
		return err
	}
	format, err := q.choice("format", "ndjson", "csv")
	if err != nil {
		return err
	}
	l, err := glanceOf(c, &q, "export", queues.MaxSearch, queues.MaxSearch)
	if err != nil {
		return err
	}
	var found queues.Found
	if q.has("ids") {
		found, err = a.named(c, &q)
	} else {
		ctx, t, name := scope(c)
		found, err = a.Queues.Search(ctx, t, name, queues.SearchOptions{PeekOptions: l.PeekOptions, Match: l.filter.Match})
	}
	if err != nil {
		return a.guess(c, err)
	}
	if next := l.next(found.Next); next != "" {
		setNext(c, next)
	}
	h := c.Response().Header()
	h.Set("Scanned-Messages", strconv.Itoa(found.Looked))
	h["X-Content-Type-Options"] = noSniff
	if format == "csv" {
		h.Set("Content-Type", tableMedia)
	} else {
		h.Set("Content-Type", linesMedia)
	}
	c.Response().WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	if format == "csv" {
		writeTable(c, found.Messages, readsBodies(c))
	} else {
		writeMessages(c, found.Messages, readsBodies(c))
	}
	return nil
}

// named returns the messages of the parameter ids that are there.
func (a *API) named(c echo.Context, q *query) (queues.Found, error) {
	for _, other := range []string{"state", "filter", "limit", "cursor"} {
		if q.has(other) {
			return queues.Found{}, queryFault("ids", "contradiction", "names messages by their ids: leave out "+other)
		}
	}
	texts := strings.Split(q.text("ids"), ",")
	if len(texts) > maxExportIDs {
		return queues.Found{}, queryFault("ids", "too_long", "must be at most "+strconv.Itoa(maxExportIDs)+" ids")
	}
	ids := make([]engine.ID, len(texts))
	for i, text := range texts {
		id, ok := parseMessageID(text)
		if !ok {
			return queues.Found{}, queryFault("ids", "invalid", "must be ids of messages with commas between them, as msg_0kq1zv3m5c8g02r4b7fg")
		}
		ids[i] = id
	}
	ctx, t, name := scope(c)
	if _, err := a.Queues.Get(ctx, t, name); err != nil {
		return queues.Found{}, err
	}
	found := queues.Found{Looked: len(ids)}
	for _, id := range ids {
		m, err := a.Queues.Message(ctx, t, name, id)
		switch {
		case errors.Is(err, queues.ErrMessageNotFound):
			continue
		case err != nil:
			return queues.Found{}, err
		}
		found.Messages = append(found.Messages, m)
	}
	return found, nil
}

// writeMessages writes messages as a look shows them, one a line. When the client has gone it ends.
func writeMessages(c echo.Context, list []queues.Message, bodies bool) {
	line := getBuffer()
	defer line.release()
	for i := range list {
		line.b = append(appendPeeked(line.b[:0], &list[i], bodies), '\n')
		if _, err := c.Response().Write(line.b); err != nil {
			return
		}
	}
}

// columns are the names of a table of messages, which are those of Message.
var columns = []string{"id", "state", "sent_at", "receive_count", "failure_count", "size", "content_type", "group_id", "deduplication_id", "sequence_number", "priority",
	"first_received_at", "available_at", "lease_expires_at", "held_since", "held_by", "expires_at", "last_error", "origin_queue", "origin_topic", "origin_reason", "origin_error",
	"attributes", "body_encoding", "body"}

// writeTable writes messages as CSV. When the client has gone it ends.
func writeTable(c echo.Context, list []queues.Message, bodies bool) {
	w := csv.NewWriter(c.Response())
	_ = w.Write(columns)
	for i := range list {
		if w.Write(rowOf(&list[i], bodies)) != nil {
			return
		}
	}
	w.Flush()
}

// rowOf returns the cells of a message, in the order of columns.
func rowOf(m *queues.Message, bodies bool) []string {
	encoding, body := "utf8", m.Body
	if !utf8.ValidString(body) {
		encoding, body = "base64", base64.StdEncoding.EncodeToString([]byte(body))
	}
	dedup := m.DeduplicationID
	if !bodies {
		encoding, body, dedup = "", "", "" // the last may be a digest of the body
	}
	var origin queues.Origin
	reason := ""
	if m.Origin != nil {
		origin, reason = *m.Origin, string(m.Origin.Reason)
	}
	n := strconv.Itoa
	row := []string{messageID(m.ID), string(m.State), timeCell(m.SentAt), n(m.ReceiveCount), n(m.FailureCount), n(len(m.Body)), contentType(m), m.GroupID, dedup, m.SequenceNumber, n(m.Priority),
		timeCell(m.FirstReceivedAt), timeCell(m.AvailableAt), timeCell(m.LeaseExpiresAt), timeCell(m.HeldSince), m.HeldBy, timeCell(m.ExpiresAt), m.LastError, origin.Queue, origin.Topic, reason, origin.Error,
		attributesCell(m), encoding, body}
	for i, text := range row {
		row[i] = inert(text)
	}
	return row
}

func timeCell(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return string(bytes.Trim(appendTime(nil, t), `"`))
}

func attributesCell(m *queues.Message) string {
	if len(m.Attributes) == 0 {
		return ""
	}
	return string(appendAttributes(nil, m.Attributes, appendString))
}

// inert keeps a spreadsheet from running what somebody has sent: a cell with one of these signs first is a formula there.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
