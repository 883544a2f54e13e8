package bench

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// sqs makes a worker's requests as a client of SQS does: JSON, each signed with AWS Signature Version 4.
type sqs struct {
	pair     awsPair
	queueURL string // as JSON
	head     string // up to the name of the action
	path     string
	host     string
	day      string    // for which mac signs
	scope    string    // of that day
	mac      hash.Hash // with the key of that day
	text     []byte    // scratch: what is signed
}

const (
	sqsMedia      = "application/x-amz-json-1.0"
	sqsTarget     = "AmazonSQS."
	signedHeaders = "content-type;host;x-amz-date;x-amz-target"
)

func newSQS(t *target, pair awsPair, queue string) *sqs {
	path := t.prefix + "/"
	return &sqs{
		pair: pair, path: path, host: t.host,
		queueURL: fmt.Sprintf("%q", "http://"+t.host+"/"+pair.account+"/"+queue),
		head:     "POST " + path + " HTTP/1.1\r\nHost: " + t.host + "\r\nContent-Type: " + sqsMedia + "\r\nX-Amz-Target: " + sqsTarget,
	}
}

// call makes the request of an action with w.body.
func (s *sqs) call(w *worker, action string) (response, error) {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	signature := s.sign(stamp, action, w.body)
	w.out = append(append(w.out[:0], s.head...), action...)
	w.out = append(append(w.out, "\r\nX-Amz-Date: "...), stamp...)
	w.out = append(append(append(append(w.out, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential="...), s.pair.access...), '/'), s.scope...)
	w.out = append(w.out, ", SignedHeaders="+signedHeaders+", Signature="...)
	w.out = append(hex.AppendEncode(w.out, signature[:]), "\r\nContent-Length: "...)
	w.conn.finish(w.body)
	return w.exchange(answerLimit)
}

// sign returns the signature of an action's request.
func (s *sqs) sign(stamp, action string, body []byte) (signature [sha256.Size]byte) {
	if day := stamp[:len("20060102")]; day != s.day {
		s.day, s.scope = day, day+"/"+s.pair.region+"/sqs/aws4_request"
		key := []byte("AWS4" + s.pair.secret)
		for _, step := range []string{day, s.pair.region, "sqs", "aws4_request"} {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(step))
			key = mac.Sum(nil)
		}
		s.mac = hmac.New(sha256.New, key)
	}
	digest := sha256.Sum256(body)
	b := append(append(append(s.text[:0], "POST\n"...), s.path...), "\n\ncontent-type:"+sqsMedia+"\nhost:"...)
	b = append(append(append(b, s.host...), "\nx-amz-date:"...), stamp...)
	b = append(append(b, "\nx-amz-target:"+sqsTarget...), action...)
	b = hex.AppendEncode(append(b, "\n\n"+signedHeaders+"\n"...), digest[:])
	digest = sha256.Sum256(b)
	b = append(append(append(b[:0], "AWS4-HMAC-SHA256\n"...), stamp...), '\n')
	b = hex.AppendEncode(append(append(b, s.scope...), '\n'), digest[:])
	s.mac.Reset()
	s.mac.Write(b)
	s.mac.Sum(signature[:0])
	s.text = b
	return signature
}

// begin begins w.body with the queue.
func (s *sqs) begin(w *worker) []byte {
	return append(append(w.body[:0], `{"QueueUrl":`...), s.queueURL...)
}

func (s *sqs) send(w *worker, counter int) (response, error) {
	b := append(s.begin(w), `,"MessageBody":"`...)
	w.body = append(w.book.appendBody(b, w.id, counter), `"}`...)
	return s.call(w, "SendMessage")
}

// sendBatch sends the n messages from first on.
func (s *sqs) sendBatch(w *worker, first, n int) (response, error) {
	b := append(s.begin(w), `,"Entries":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"Id":"`...), int64(i), 10)
		b = w.book.appendBody(append(b, `","MessageBody":"`...), w.id, first+i)
		b = append(b, `"}`...)
	}
	w.body = append(b, "]}"...)
	return s.call(w, "SendMessageBatch")
}

func (s *sqs) receive(w *worker, n, wait, lease int) (response, error) {
	b := strconv.AppendInt(append(s.begin(w), `,"MaxNumberOfMessages":`...), int64(min(n, maxAWSBatch)), 10)
	b = strconv.AppendInt(append(b, `,"WaitTimeSeconds":`...), int64(wait), 10)
	b = strconv.AppendInt(append(b, `,"VisibilityTimeout":`...), int64(lease), 10)
	w.body = append(b, '}')
	return s.call(w, "ReceiveMessage")
}

// delete deletes the one message that w.handles holds.
func (s *sqs) delete(w *worker) bool {
	w.body = append(append(append(s.begin(w), `,"ReceiptHandle":"`...), w.handles[0]...), `"}`...)
	w.handles = w.handles[:0]
	resp, err := s.call(w, "DeleteMessage")
	if err != nil || resp.status != http.StatusOK {
		w.fail("delete", resp, err)
		return false
	}
	return true
}

// deleteBatch deletes what w.handles holds, in as few requests as SQS takes.
func (s *sqs) deleteBatch(w *worker) bool {
	whole, all := true, w.handles
	w.handles = w.handles[:0]
	for handles := range slices.Chunk(all, maxAWSBatch) {
		b := append(s.begin(w), `,"Entries":[`...)
		for i, handle := range handles {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(append(b, `{"Id":"`...), int64(i), 10)
			b = append(append(append(b, `","ReceiptHandle":"`...), handle...), `"}`...)
		}
		w.body = append(b, "]}"...)
		resp, err := s.call(w, "DeleteMessageBatch")
		if err != nil || resp.status != http.StatusOK {
			w.fail("ack", resp, err)
			whole = false
			continue
		}
		done := 0
		err = scanEntries(resp.body, func(_ []byte, status int) {
			if status == http.StatusCreated {
				done++
			}
		})
		if err != nil || done != len(handles) {
			w.fail(fmt.Sprintf("ack: %d of %d entries", done, len(handles)), resp, nil)
			whole = false
		}
	}
	return whole
}
