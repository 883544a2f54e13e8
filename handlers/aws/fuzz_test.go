package aws_test

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// digestOf is the digest of attributes as AWS describes it: names in order, each with its type and value, and the length before each.
// SDKs compute it so and refuse what has another one.
func digestOf(attributes map[string]types.MessageAttributeValue) string {
	var all []byte
	part := func(b []byte) {
		all = binary.BigEndian.AppendUint32(all, uint32(len(b)))
		all = append(all, b...)
	}
	var ordered []string
	for name := range attributes {
		ordered = append(ordered, name)
	}
	slices.Sort(ordered)
	for _, name := range ordered {
		a := attributes[name]
		part([]byte(name))
		part([]byte(*a.DataType))
		if a.StringValue != nil {
			all = append(all, 1)
			part([]byte(*a.StringValue))
			continue
		}
		all = append(all, 2)
		part(a.BinaryValue)
	}
	sum := md5.Sum(all)
	return hex.EncodeToString(sum[:])
}

// FuzzMessageAttributesMD5 sends what an SDK sends: the digest that is told of what was taken is the one that the SDK expects, when it is
// sent and, of the whole and of a part, when it is received.
func FuzzMessageAttributesMD5(f *testing.F) {
	h := open(f, onMemory(f))
	address := h.queue(nil)
	c := sqs.New(h.sqs.Options(), func(o *sqs.Options) { o.HTTPSignerV4 = movedSigner{v4.NewSigner(), h.clock} }) // for it may run for longer than a signature holds
	f.Add("k", "String", "x", "l", "Number.int", "007", []byte("x"))
	f.Add("b", "String.é☃", "\r\n\t<&>\"", "a", "Number", "-1e126", []byte{0, 0xff, '\n'})
	f.Add("Z", "String", strings.Repeat("x", 300), "a", "String", " ", []byte(" "))
	f.Add("a.b", "String", "\x01", "a..b", "Number", "x", []byte{})
	f.Fuzz(func(t *testing.T, one, kind, value, other, otherKind, number string, raw []byte) {
		for _, text := range []string{one, kind, value, other, otherKind, number} {
			if !utf8.ValidString(text) {
				t.Skip() // for the SDK sends another text
			}
		}
		attributes := map[string]types.MessageAttributeValue{
			one:    {DataType: &kind, StringValue: &value},
			other:  {DataType: &otherKind, StringValue: &number},
			"Data": {DataType: sdk.String("Binary.gz"), BinaryValue: raw},
		}
		sent, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &address, MessageBody: sdk.String("x"), MessageAttributes: attributes})
		if err != nil && strings.Contains(err.Error(), invalid) {
			t.Skip() // they are none that can be sent
		}
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "sent", digestOf(attributes), *sent.MD5OfMessageAttributes)
		for _, asked := range []string{"Data", "All"} {
			got, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &address, MessageAttributeNames: []string{asked}})
			if err != nil || len(got.Messages) != 1 {
				t.Fatalf("got %v and %v", got, err)
			}
			m := got.Messages[0]
			want := map[string]types.MessageAttributeValue{"Data": attributes["Data"]}
			if asked == "All" {
				want = attributes
			}
			diff(t, asked, digestOf(want), digestOf(m.MessageAttributes))
			diff(t, "received", digestOf(want), *m.MD5OfMessageAttributes)
			_, err = c.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &address, ReceiptHandle: m.ReceiptHandle})
			if err == nil && asked == "All" {
				_, err = c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &address, ReceiptHandle: m.ReceiptHandle})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// notXML is what no XML can hold, by the production Char of XML 1.0.
var notXML = regexp.MustCompile(`[^\x09\x0A\x0D\x{20}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}]`)

// FuzzXMLChars sends bodies by one protocol and receives them by the other: a body is refused if XML cannot hold it, and otherwise
// comes back by a parser of XML as it was. Where it is part of an error it breaks no answer.
func FuzzXMLChars(f *testing.F) {
	h := open(f, onMemory(f))
	address := h.queue(nil)
	for _, seed := range []string{"x", "\x00", "\x01", "\x0b", "\x1f", "\x7f", "\u0085", "\u2028", "\ufffd", "\ufffe", "\uffff", "\ud7ff\ue000", "\U00010000\U0010ffff", "\xed\xa0\x80", "\xff",
		"a\r\nb\rc\n\td", "]]>", "<a b='c\"'>&amp;</a>", " ", "&#0;", "\ufeffx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		each := *h
		each.TB = t
		if a := each.query(body); a.status >= 500 {
			t.Errorf("%d %s", a.status, a.body)
		}
		a := each.query("SendMessage", "QueueUrl", address, "MessageBody", body)
		switch {
		case body == "":
			a.fails(400, "MissingParameter", "", "MessageBody")
			return
		case !utf8.ValidString(body) || notXML.MatchString(body):
			a.fails(400, "InvalidMessageContents", "", "")
			return
		case len(body) > 1<<20:
			a.fails(400, invalid, "", "shorter")
			return
		}
		a.ok(nil)
		var got struct {
			Message struct{ Body, ReceiptHandle, MD5OfBody string } `xml:"ReceiveMessageResult>Message"`
		}
		received := each.query("ReceiveMessage", "QueueUrl", address).ok(nil)
		each.must(xml.Unmarshal([]byte(received.body), &got))
		diff(t, "body", body, got.Message.Body)
		diff(t, "digest", md5Of(body), got.Message.MD5OfBody)
		each.json("DeleteMessage", in(address, `"ReceiptHandle":`+quoted(got.Message.ReceiptHandle))).ok(nil)
	})
}
