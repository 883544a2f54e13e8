package aws

// input is what an action is asked to do, in either protocol. Actions read it and do not know which one it came by. What
// is malformed is kept in a *flaws, and told once the action has read all that it wants.
type input interface {
	// text returns a member that is a string, and whether it is there.
	text(name string) (string, bool)
	// number returns a member that is a whole number, and whether it is there.
	number(name string) (int64, bool)
	// texts returns a list of strings.
	texts(f field) []string
	// table returns a map from strings to strings, in the order in which it came.
	table(f field) []pair
	// list returns a list of objects.
	list(f field) []input
	// attributes returns a map of typed values.
	attributes(f field) []attribute
}

// field is a member that holds several things: as JSON has it, and as the query protocol has it.
type field struct{ json, query, key, value string }

// pair is one entry of a map of strings.
type pair struct{ key, value string }

// attribute is a typed value as it came.
type attribute struct {
	name, kind       string
	text, binary     string // binary is decoded
	hasText, hasData bool
	lists            bool // it has a list of values
}

// The members that hold several things.
var (
	fieldAttributes       = field{"Attributes", "Attribute", "Name", "Value"}
	fieldAttributeNames   = field{"AttributeNames", "AttributeName", "", ""}
	fieldSystemNames      = field{"MessageSystemAttributeNames", "MessageSystemAttributeName", "", ""}
	fieldMessageNames     = field{"MessageAttributeNames", "MessageAttributeName", "", ""}
	fieldMessageAttribute = field{"MessageAttributes", "MessageAttribute", "Name", "Value"}
	fieldSystemAttribute  = field{"MessageSystemAttributes", "MessageSystemAttribute", "Name", "Value"}
	fieldCreateTags       = field{"tags", "Tag", "Key", "Value"}
	fieldTags             = field{"Tags", "Tag", "Key", "Value"}
	fieldTagKeys          = field{"TagKeys", "TagKey", "", ""}
	fieldAccounts         = field{"AWSAccountIds", "AWSAccountId", "", ""}
	fieldActions          = field{"Actions", "ActionName", "", ""}
	fieldSends            = field{"Entries", "SendMessageBatchRequestEntry", "", ""}
	fieldDeletes          = field{"Entries", "DeleteMessageBatchRequestEntry", "", ""}
	fieldChanges          = field{"Entries", "ChangeMessageVisibilityBatchRequestEntry", "", ""}
)

// Those of SNS, which only speaks the query protocol.
var (
	fieldEntries        = field{"Attributes", "Attributes.entry", "key", "value"}
	fieldMessageEntries = field{"MessageAttributes", "MessageAttributes.entry", "Name", "Value"}
	fieldTagMembers     = field{"Tags", "Tags.member", "Key", "Value"}
	fieldTagKeyMembers  = field{"TagKeys", "TagKeys.member", "", ""}
	fieldAccountMembers = field{"AWSAccountId", "AWSAccountId.member", "", ""}
	fieldActionMembers  = field{"ActionName", "ActionName.member", "", ""}
	fieldPublishes      = field{"PublishBatchRequestEntries", "PublishBatchRequestEntries.member", "", ""}
)

// maxValues bounds the values in one request. The largest that makes sense, a batch of ten messages with ten attributes
// each, has some 500.
const maxValues = 4096

// flaws keeps the first thing that is wrong with an input.
type flaws struct{ first *Fault }

func (f *flaws) note(e *Fault) {
	if f.first == nil {
		f.first = e
	}
}
