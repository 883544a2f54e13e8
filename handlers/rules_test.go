package handlers_test

import (
	"strings"
	"testing"
)

func TestQ49_AMessageHasABody(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.do("POST", path+"/messages", "").problem(422, "validation_failed")
	h.do("POST", path+"/messages", "", "Message-Attr-A", "x").problem(422, "validation_failed")
	_, statuses, _ := h.json("POST", path+"/messages/batch", `{"messages":[{"body":"a"},{"body":""},{},{"body":"b"}]}`).is(207).results()
	diff(t, "statuses of a batch", []int{201, 422, 422, 201}, statuses)
	h.do("POST", path+"/messages", "c", "Content-Type", "text/plain").is(201)
	diff(t, "bodies", []string{"a", "b", "c"}, bodies(h.receive(path, 10)))
}

// How large one message of the queue may be has nothing to do with how large a batch may be.
func TestQ66_ABatchHasABoundOfItsOwn(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"max_message_size":1024}`)
	line := strings.Repeat("x", 1000) + "\n"
	h.do("POST", path+"/messages/batch", strings.Repeat(line, 1000), "Content-Type", ndjson).is(201)
	h.wantCounts(path, [3]int64{1000, 0, 0})
	h.do("POST", path+"/messages/batch", "small\n"+strings.Repeat("x", 16<<20), "Content-Type", ndjson).problem(413, "request_too_large")
	h.wantCounts(path, [3]int64{1000, 0, 0})
}
