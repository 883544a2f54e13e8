package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
)

const fakeAccessKey = "SLAKTEST"

// serveSQS answers as the AWS door does. It takes any signature of its pair; the server's own test has the real ones.
func (f *fakeSluice) serveSQS(w http.ResponseWriter, r *http.Request) {
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), sqsTarget)
	f.count(sqsTarget+action, 1)
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":"com.amazonaws.sqs#%s"}`, code)
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+fakeAccessKey+"/") || r.Header.Get("Content-Type") != sqsMedia {
		refuse("InvalidClientTokenId")
		return
	}
	type entry struct{ ID, MessageBody, ReceiptHandle string }
	var in struct {
		entry
		QueueURL                             string `json:"QueueUrl"`
		Entries                              []entry
		MaxNumberOfMessages, WaitTimeSeconds int
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	f.mu.Lock()
	q := f.queues[path.Base(in.QueueURL)]
	f.mu.Unlock()
	if err != nil || q == nil || len(in.Entries) > maxAWSBatch || in.MaxNumberOfMessages > maxAWSBatch {
		refuse("QueueDoesNotExist")
		return
	}
	answer := map[string]any{}
	switch action {
	case "SendMessage":
		id, status := f.store(q, in.MessageBody)
		if status != http.StatusCreated {
			refuse("ThrottlingException")
			return
		}
		answer["MessageId"] = id
	case "DeleteMessage":
		if f.ack(q, in.ReceiptHandle) != http.StatusNoContent {
			refuse("ReceiptHandleIsInvalid")
			return
		}
	case "ReceiveMessage":
		var messages []map[string]string
		for _, m := range f.take(q, in.MaxNumberOfMessages, in.WaitTimeSeconds) {
			messages = append(messages, map[string]string{"MessageId": m.id, "ReceiptHandle": "rh_" + m.id, "Body": m.body})
		}
		if len(messages) > 0 {
			answer["Messages"] = messages
		}
	case "SendMessageBatch", "DeleteMessageBatch":
		done, failed := []map[string]any{}, []map[string]any{}
		for _, e := range in.Entries {
			var ok bool
			if action == "SendMessageBatch" {
				_, status := f.store(q, e.MessageBody)
				ok = status == http.StatusCreated
			} else {
				ok = f.ack(q, e.ReceiptHandle) == http.StatusNoContent
			}
			if ok {
				done = append(done, map[string]any{"Id": e.ID})
			} else {
				failed = append(failed, map[string]any{"Id": e.ID, "SenderFault": true, "Code": "Refused"})
			}
		}
		answer["Successful"], answer["Failed"] = done, failed
	default:
		refuse("InvalidAction")
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}
