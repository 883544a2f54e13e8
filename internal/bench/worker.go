package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// paths holds the parts of requests that never change within a run.
type paths struct {
	send     []byte // up to "Content-Length: ", as those below
	batch    []byte
	ack      []byte
	receive  []byte // up to "?max="
	receipts []byte // the path up to the handle, without the method
	jsonTail []byte // from behind the path up to "Content-Length: "
	postTail []byte // the same for a body that may be empty, so has no type
	bareTail []byte // from behind the path to the end of a request without a body
}

func queuePath(queue string) string { return "/v1/queues/" + queue }
func topicPath(topic string) string { return "/v1/topics/" + topic }

// newPaths returns those of the queue or the topic at a path.
func newPaths(t *target, base string) paths {
	return paths{
		send:     t.head(http.MethodPost, base+"/messages", "text/plain"),
		batch:    t.head(http.MethodPost, base+"/messages/batch", "application/json"),
		ack:      t.head(http.MethodPost, base+"/ack", "application/json"),
		receive:  []byte("POST " + t.prefix + base + "/receive?max="),
		receipts: []byte(" " + t.prefix + base + "/receipts/"),
		jsonTail: []byte(" HTTP/1.1\r\n" + t.common + "Content-Type: application/json\r\nContent-Length: "),
		postTail: []byte(" HTTP/1.1\r\n" + t.common + "Content-Length: "),
		bareTail: []byte(" HTTP/1.1\r\n" + t.common + "\r\n"),
	}
}

// worker is one client: a connection, what it holds, and its books. One goroutine uses it at a time.
type worker struct {
	*conn
	rig       *rig
	sqs       *sqs // nil: it speaks REST
	id        int
	book      book
	latencies histogram
	counted   int64          // messages finished while the run was measured
	errors    map[string]int // by kind
	failures  int            // in a row
	arrived   time.Time      // when the last receive's answer was complete
	handles   [][]byte       // receipts of messages received and not acked
	body      []byte         // scratch: the request's body
	list      []message      // scratch: the answer's messages
}

// going reports whether to start another round of work.
func (w *worker) going() bool { return w.rig.phase.Load() != stopping && !w.gaveUp() }

func (w *worker) gaveUp() bool { return w.failures >= maxFailures || w.aborted.Load() }

// finish counts n messages whose work began at start and ends now.
func (w *worker) finish(start time.Time, n int) {
	if w.rig.phase.Load() == measuring {
		w.latencies.record(time.Since(start))
		w.counted += int64(n)
	}
}

// fail notes an answer that should not have been, or that none came, and keeps a failing server from being hammered.
func (w *worker) fail(what string, resp response, err error) {
	if errors.Is(err, errAborted) {
		return // why the run was stopped is noted once, not by every worker
	}
	kind := what + ": " + describe(resp)
	if err != nil {
		kind = what + ": " + failure(err)
	}
	w.count(kind)
	w.failures++
	if w.failures == maxFailures {
		w.count(fmt.Sprintf("a worker gave up after %d failures in a row", maxFailures))
	}
	time.Sleep(failurePause)
}

func (w *worker) count(kind string) {
	if _, known := w.errors[kind]; !known && len(w.errors) >= maxErrorKinds {
		kind = "others"
	}
	w.errors[kind]++
}

// failure names an error without addresses and ports, which would make each one look different.
func failure(err error) string {
	var timeout net.Error
	var number syscall.Errno
	switch {
	case errors.Is(err, io.EOF):
		return "connection closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &number):
		return number.Error()
	}
	return err.Error()
}

// send sends n messages, in a batch when there are several, and returns how many were accepted.
func (w *worker) send(n int) int {
	if n == 1 && w.rig.label == nil {
		return w.sendOne()
	}
	return w.sendBatch(n)
}

func (w *worker) sendOne() int {
	counter := w.book.attempt(1)
	var resp response
	var err error
	done, says := http.StatusCreated, `"id"`
	if w.sqs != nil {
		done, says = http.StatusOK, `"MessageId"`
		resp, err = w.sqs.send(w, counter)
	} else {
		w.body = w.book.appendBody(w.body[:0], w.id, counter)
		resp, err = w.call(w.rig.paths.send, w.body, answerLimit)
	}
	switch {
	case err != nil:
		w.fail("send", resp, err)
		return 0
	case resp.status != done || !bytes.Contains(resp.body, []byte(says)):
		w.book.sent[counter] = settled(resp.status)
		w.fail("send", resp, nil)
		return 0
	}
	w.book.sent[counter] = accepted
	w.failures = 0
	return 1
}

// writeBatch writes a batch of n messages to w.body, with what the run's label gives them, and returns the counter of the first.
func (w *worker) writeBatch(n int) (first int) {
	first = w.book.attempt(n)
	b := append(w.body[:0], `{"messages":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `","body":"`...)
		b = w.book.appendBody(b, w.id, first+i)
		b = append(b, '"')
		if w.rig.label != nil {
			b = w.rig.label(b, w.id, first+i)
		}
		b = append(b, '}')
	}
	w.body = append(b, "]}"...)
	return first
}

// sendBatch sends n messages in one request and returns how many were accepted.
func (w *worker) sendBatch(n int) int {
	first, scan := len(w.book.sent), scanResults
	var resp response
	var err error
	if w.sqs != nil {
		scan = scanEntries
		resp, err = w.sqs.sendBatch(w, w.book.attempt(n), n)
	} else {
		w.writeBatch(n)
		resp, err = w.call(w.rig.paths.batch, w.body, answerLimit)
	}
	if err != nil {
		w.fail("send-batch", resp, err)
		return 0
	}
	states := w.book.sent[first:]
	if resp.status != http.StatusCreated && resp.status != http.StatusMultiStatus && (w.sqs == nil || resp.status != http.StatusOK) {
		for i := range states {
			states[i] = settled(resp.status)
		}
		w.fail("send-batch", resp, nil)
		return 0
	}
	count, results := 0, 0
	err = scan(resp.body, func(ref []byte, status int) {
		i, err := strconv.Atoi(string(ref))
		switch results++; {
		case err != nil || i < 0 || i >= n || states[i] == accepted:
			w.count(fmt.Sprintf("send-batch: a result for %.20q, which is not open", ref))
		case status == http.StatusCreated:
			states[i] = accepted
			count++
		default:
			states[i] = settled(status)
			w.count(fmt.Sprintf("send-batch: item %d", status))
		}
	})
	switch {
	case err != nil:
		w.fail("send-batch: "+err.Error(), resp, nil)
	case results != n || count < n && resp.status == http.StatusCreated:
		w.fail(fmt.Sprintf("send-batch: %d results, %d accepted, for a batch of %d", results, count, n), resp, nil)
	case count == 0:
		w.fail("send-batch: no item accepted", resp, nil)
	case count < n:
		w.failures = 0
		time.Sleep(failurePause)
	default:
		w.failures = 0
	}
	return count
}

// settled says what a refusing status means for the message: a 4xx and a full store are certain, others are not.
func settled(status int) sent {
	if status >= 400 && status < 500 || status == http.StatusInsufficientStorage {
		return refused
	}
	return unsettled
}

// receive asks for up to n messages, enters them in the book and adds their receipts to w.handles. With carry it acks those
// that were there before.
func (w *worker) receive(n, wait, lease int, carry bool) (got int, ok bool) {
	if w.sqs != nil {
		resp, err := w.sqs.receive(w, n, wait, lease)
		w.arrived = time.Now()
		return w.received(resp, err)
	}
	w.body = w.body[:0]
	if carry && len(w.handles) > 0 {
		w.body = appendAck(w.body, w.handles)
	}
	w.out = append(w.out[:0], w.rig.paths.receive...)
	w.out = strconv.AppendInt(w.out, int64(min(n, maxReceive)), 10)
	w.out = append(w.out, "&wait="...)
	w.out = strconv.AppendInt(w.out, int64(wait), 10)
	w.out = append(w.out, "&visibility_timeout="...)
	w.out = strconv.AppendInt(w.out, int64(lease), 10)
	if len(w.body) > 0 {
		w.out = append(w.out, w.rig.paths.jsonTail...)
	} else {
		w.out = append(w.out, w.rig.paths.postTail...)
	}
	w.conn.finish(w.body)
	resp, err := w.exchange(answerLimit)
	w.arrived = time.Now()
	if len(w.body) > 0 {
		w.handles = w.handles[:0] // acked, or if that failed the check will find them delivered again
	}
	return w.received(resp, err)
}

// received enters what a receive's answer brought.
func (w *worker) received(resp response, err error) (got int, ok bool) {
	if err != nil || resp.status != http.StatusOK {
		w.fail("receive", resp, err)
		return 0, false
	}
	scan := scanReceive
	if w.sqs != nil {
		scan = scanMessages
	}
	list, failedAcks, err := scan(resp.body, w.list[:0])
	w.list = list
	if err != nil {
		w.fail("receive: "+err.Error(), resp, nil)
		return 0, false
	}
	for _, m := range list {
		w.book.deliver(m.body)
		w.keep(m.handle)
	}
	w.failures = 0
	if failedAcks > 0 {
		w.fail("receive: an ack that it carried failed", resp, nil)
	}
	return len(list), true
}

// keep adds a copy of the handle to w.handles, in memory that an earlier one left if possible.
func (w *worker) keep(handle []byte) {
	n := len(w.handles)
	if n == cap(w.handles) {
		w.handles = append(w.handles, slices.Clone(handle))
		return
	}
	w.handles = w.handles[:n+1]
	w.handles[n] = append(w.handles[n][:0], handle...)
}

// ack deletes what w.handles holds, in one request.
func (w *worker) ack() bool {
	if len(w.handles) == 0 {
		return true
	}
	if w.sqs != nil {
		return w.sqs.deleteBatch(w)
	}
	w.body = appendAck(w.body[:0], w.handles)
	w.handles = w.handles[:0]
	resp, err := w.call(w.rig.paths.ack, w.body, answerLimit)
	if err != nil || resp.status != http.StatusOK {
		w.fail("ack", resp, err)
		return false
	}
	return true
}

func appendAck(b []byte, handles [][]byte) []byte {
	b = append(b, `{"ack":["`...)
	for i, handle := range handles {
		if i > 0 {
			b = append(b, `","`...)
		}
		b = append(b, handle...)
	}
	return append(b, `"]}`...)
}

// delete deletes the one message that w.handles holds.
func (w *worker) delete() bool {
	if w.sqs != nil {
		return w.sqs.delete(w)
	}
	w.out = append(append(w.out[:0], "DELETE"...), w.rig.paths.receipts...)
	w.out = appendSegment(w.out, w.handles[0])
	w.out = append(w.out, w.rig.paths.bareTail...)
	w.handles = w.handles[:0]
	resp, err := w.exchange(answerLimit)
	if err != nil || resp.status != http.StatusNoContent {
		w.fail("delete", resp, err)
		return false
	}
	return true
}

// giveBack makes the message behind handle available again.
func (w *worker) giveBack(handle []byte) bool {
	w.out = append(append(w.out[:0], "PATCH"...), w.rig.paths.receipts...)
	w.out = appendSegment(w.out, handle)
	w.out = append(w.out, w.rig.paths.jsonTail...)
	w.conn.finish([]byte(`{"visibility_timeout":0}`))
	resp, err := w.exchange(answerLimit)
	if err != nil || resp.status != http.StatusOK && resp.status != http.StatusNoContent {
		w.fail("return", resp, err)
		return false
	}
	return true
}

// appendSegment appends a path segment. A receipt is base64url, which needs no escaping; anything else gets it.
func appendSegment(b, segment []byte) []byte {
	for _, c := range segment {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return append(b, url.PathEscape(string(segment))...)
		}
	}
	return append(b, segment...)
}
