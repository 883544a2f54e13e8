package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/policy"
)

const (
	owner    = "111111111111"
	other    = "222222222222"
	resource = "arn:aws:sqs:us-east-1:" + owner + ":orders"
	topic    = "arn:aws:sns:us-east-1:" + other + ":news"
)

func compile(tb testing.TB, statements ...string) *policy.Policy {
	tb.Helper()
	p, err := policy.Compile(`{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`, policy.Limits{})
	if err != nil {
		tb.Fatalf("%v in %s", err, statements)
	}
	return p
}

// stranger is a request of another account, and changed by what a test is about.
func stranger(change func(*policy.Request)) *policy.Request {
	r := &policy.Request{Action: "sqs:SendMessage", Resource: resource, Account: other, User: "arn:aws:iam::" + other + ":user/key_1",
		Address: "192.0.2.7", Region: "us-east-1", Now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	if change != nil {
		change(r)
	}
	return r
}

func service(change func(*policy.Request)) *policy.Request {
	r := &policy.Request{Action: "sqs:SendMessage", Resource: resource, Service: "sns.amazonaws.com", SourceARN: topic, SourceAccount: other,
		Region: "us-east-1", Now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	if change != nil {
		change(r)
	}
	return r
}

func TestNothingIsAllowedUnlessSomebodySaysSo(t *testing.T) {
	t.Parallel()
	var none *policy.Policy
	empty, err := policy.Compile(`{}`, policy.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*policy.Policy{"none": none, "empty": empty, "no statements": compile(t)} {
		if p.Allows(stranger(nil)) || p.Denies(stranger(nil)) || p.HasDenials() {
			t.Errorf("%s says something", name)
		}
	}
}

func TestWhoIsAllowed(t *testing.T) {
	t.Parallel()
	for principal, want := range map[string][3]bool{ // the other account, a third one, SNS
		`"*"`:                     {true, true, true},
		`{"AWS":"*"}`:             {true, true, true},
		`{"AWS":"` + other + `"}`: {true, false, false},
		`{"AWS":["333333333333","` + other + `"]}`:                                             {true, true, false},
		`{"AWS":"arn:aws:iam::` + other + `:root"}`:                                            {true, false, false},
		`{"AWS":"arn:aws:iam::` + other + `:user/key_1"}`:                                      {true, false, false},
		`{"AWS":"arn:aws:iam::` + other + `:user/key_2"}`:                                      {false, false, false},
		`{"AWS":"arn:aws:iam::` + other + `:role/admin"}`:                                      {false, false, false},
		`{"Service":"sns.amazonaws.com"}`:                                                      {false, false, true},
		`{"Service":["s3.amazonaws.com","events.amazonaws.com"]}`:                              {false, false, false},
		`{"Service":"sns.amazonaws.com","AWS":"` + other + `"}`:                                {true, false, true},
		`{"Federated":"cognito-identity.amazonaws.com"}`:                                       {false, false, false},
		`{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}`: {false, false, false},
	} {
		p := compile(t, `{"Effect":"Allow","Principal":`+principal+`,"Action":"sqs:SendMessage","Resource":"*"}`)
		got := [3]bool{p.Allows(stranger(nil)),
			p.Allows(stranger(func(r *policy.Request) { r.Account, r.User = "333333333333", "arn:aws:iam::333333333333:user/key_3" })), p.Allows(service(nil))}
		if got != want {
			t.Errorf("%s: got %v, want %v", principal, got, want)
		}
	}
	all := compile(t, `{"Effect":"Allow","NotPrincipal":{"AWS":"333333333333"},"Action":"*"}`)
	if all.Allows(stranger(nil)) {
		t.Error("who is all but somebody is allowed")
	}
}

func TestWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string]bool{
		`"Action":"sqs:SendMessage"`:                     true,
		`"Action":"SQS:SENDMESSAGE"`:                     true,
		`"Action":["sqs:ReceiveMessage","sqs:Send*"]`:    true,
		`"Action":"sqs:*"`:                               true,
		`"Action":"*"`:                                   true,
		`"Action":"sqs:Send"`:                            false,
		`"Action":"sns:*"`:                               false,
		`"Action":"sqs:?endMessage"`:                     true,
		`"NotAction":"sqs:PurgeQueue"`:                   true,
		`"NotAction":"sqs:Send*"`:                        false,
		`"Action":"*","Resource":"` + resource + `"`:     true,
		`"Action":"*","Resource":"arn:aws:sqs:*:*:ord*"`: true,
		`"Action":"*","Resource":["arn:aws:sqs:us-east-1:1:x","` + resource + `"]`:  true,
		`"Action":"*","Resource":"` + resource + `2"`:                               false,
		`"Action":"*","Resource":"ORDERS"`:                                          false,
		`"Action":"*","Resource":"arn:aws:sqs:us-east-1:${aws:PrincipalAccount}:*"`: false,
		`"Action":"*","NotResource":"` + resource + `"`:                             false,
		`"Action":"*","NotResource":"arn:aws:sqs:us-east-1:1:x"`:                    true,
	} {
		p := compile(t, `{"Effect":"Allow","Principal":"*",`+statement+`}`)
		if got := p.Allows(stranger(nil)); got != want {
			t.Errorf("%s: got %v", statement, got)
		}
	}
}

// What a condition says of a service, then of a stranger, in a statement that allows.
func TestConditions(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string][2]bool{
		`{"ArnEquals":{"aws:SourceArn":"` + topic + `"}}`:                            {true, false},
		`{"ArnLike":{"AWS:SourceArn":"arn:aws:sns:*:` + other + `:n*"}}`:             {true, false},
		`{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:news"}}`:                         {false, false},
		`{"ArnLike":{"aws:SourceArn":"*"}}`:                                          {true, false},
		`{"StringEquals":{"aws:SourceArn":"` + topic + `"}}`:                         {true, false},
		`{"StringLike":{"aws:SourceArn":["x","arn:*:news"]}}`:                        {true, false},
		`{"StringEquals":{"aws:SourceAccount":"` + other + `"}}`:                     {true, false},
		`{"StringEquals":{"aws:SourceAccount":` + other + `}}`:                       {true, false},
		`{"StringEquals":{"AWS:SourceOwner":"` + other + `"}}`:                       {true, true},
		`{"StringEquals":{"aws:PrincipalAccount":"` + other + `"}}`:                  {false, true},
		`{"StringNotEquals":{"aws:PrincipalAccount":"` + other + `"}}`:               {true, false},
		`{"StringEqualsIfExists":{"aws:PrincipalAccount":"` + other + `"}}`:          {true, true},
		`{"StringEqualsIgnoreCase":{"aws:RequestedRegion":"US-EAST-1"}}`:             {true, true},
		`{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::` + other + `:user/*"}}`:    {false, true},
		`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`:                              {false, true},
		`{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.7"]}}`:                  {false, true},
		`{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`:                             {false, false},
		`{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`:                           {true, false},
		`{"Bool":{"aws:SecureTransport":"true"}}`:                                    {false, false},
		`{"Bool":{"aws:SecureTransport":false}}`:                                     {false, true},
		`{"DateLessThan":{"aws:CurrentTime":"2030-01-02T03:04:06Z"}}`:                {true, true},
		`{"DateGreaterThan":{"aws:CurrentTime":"2030-01-02T03:04:06Z"}}`:             {false, false},
		`{"DateGreaterThanEquals":{"aws:EpochTime":"1893553445"}}`:                   {true, true},
		`{"DateLessThan":{"aws:SourceArn":"2040-01-01"}}`:                            {false, false},
		`{"Null":{"aws:SourceArn":"true"}}`:                                          {false, true},
		`{"Null":{"aws:SourceArn":"false"}}`:                                         {true, false},
		`{"ArnLike":{"aws:SourceArn":"*"},"StringEquals":{"aws:SourceAccount":"1"}}`: {false, false},
		// What is not evaluated here allows nothing, whatever it would say.
		`{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}`:                {false, false},
		`{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}`:           {false, false},
		`{"Null":{"aws:PrincipalTag/team":"true"}}`:                       {false, false},
		`{"ForAllValues:StringEquals":{"aws:SourceArn":"` + topic + `"}}`: {false, false},
		`{"ForAnyValue:StringLike":{"aws:SourceArn":"*"}}`:                {false, false},
		`{"NumericLessThan":{"aws:EpochTime":"99999999999"}}`:             {false, false},
		`{"StringLike":{"aws:PrincipalArn":"${aws:username}*"}}`:          {false, false},
	} {
		p := compile(t, `{"Effect":"Allow","Principal":"*","Action":"*","Condition":`+condition+`}`)
		if got := [2]bool{p.Allows(service(nil)), p.Allows(stranger(nil))}; got != want {
			t.Errorf("%s: got %v, want %v", condition, got, want)
		}
	}
}

func TestADenialWins(t *testing.T) {
	t.Parallel()
	const open = `{"Effect":"Allow","Principal":"*","Action":"*"}`
	own := func(r *policy.Request) { r.Own, r.Account, r.User = true, owner, "arn:aws:iam::"+owner+":user/key_0" }
	for denial, want := range map[string][2]bool{ // whether a stranger is let in, whether the owner is not denied
		`{"Effect":"Deny","Principal":"*","Action":"sqs:SendMessage"}`:                                                            {false, false},
		`{"Effect":"Deny","Principal":"*","Action":"sqs:PurgeQueue"}`:                                                             {true, true},
		`{"Effect":"Deny","Principal":{"AWS":"` + other + `"},"Action":"*"}`:                                                      {false, true},
		`{"Effect":"Deny","NotPrincipal":{"AWS":"` + owner + `"},"Action":"*"}`:                                                   {false, true},
		`{"Effect":"Deny","NotPrincipal":{"AWS":["` + owner + `","` + other + `"]},"Action":"*"}`:                                 {true, true},
		`{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`:                     {false, false},
		`{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"StringNotEquals":{"aws:PrincipalAccount":"` + owner + `"}}}`: {false, true},
		`{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"` + owner + `"}}}`:    {true, false},
		`{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}`:                {false, true},
		`{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}}`:             {false, false},
		`{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"ForAnyValue:StringEquals":{"aws:PrincipalAccount":"1"}}}`:    {false, true},
		`{"Effect":"Deny","Principal":{"Federated":"x"},"Action":"*"}`:                                                            {false, true},
		`{"Effect":"Deny","Principal":"*","Action":"*","Resource":"${aws:username}"}`:                                             {false, true},
		`{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"StringLike":{"aws:PrincipalArn":"${aws:username}"}}}`:        {false, true},
	} {
		for _, p := range []*policy.Policy{compile(t, open, denial), compile(t, denial, open)} {
			if got := [2]bool{p.Allows(stranger(nil)), !p.Denies(stranger(own))}; got != want {
				t.Errorf("%s: got %v, want %v", denial, got, want)
			}
		}
	}
}

func TestWhatIsNoPolicyIsRefused(t *testing.T) {
	t.Parallel()
	statement := func(more string) string {
		return `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*"` + more + `}}`
	}
	for _, text := range []string{
		``, `x`, `[]`, `null`, `{`, `{} {}`, `{"Statement":1}`, `{"Statement":["x"]}`, `{"Statement":{}}`, `{"Statments":[]}`, `{"Version":"2020-01-01"}`, `{"Version":1}`, `{"Id":1}`,
		`{"Statement":{"Effect":"Allow","Action":"*"}}`, `{"Statement":{"Effect":"Allow","Principal":"*"}}`, `{"Statement":{"Principal":"*","Action":"*"}}`,
		`{"Statement":{"Effect":"allow","Principal":"*","Action":"*"}}`, `{"Statement":{"Effect":"Maybe","Principal":"*","Action":"*"}}`,
		`{"Statement":{"Effect":"Allow","Principal":"x","Action":"*"}}`, `{"Statement":{"Effect":"Allow","Principal":{},"Action":"*"}}`,
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":"12345"},"Action":"*"}}`, `{"Statement":{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::1:root"]},"Action":"*"}}`,
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":[]},"Action":"*"}}`, `{"Statement":{"Effect":"Allow","Principal":{"Aws":"*"},"Action":"*"}}`,
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":[]}}`, `{"Statement":{"Effect":"Allow","Principal":"*","Action":1}}`, `{"Statement":{"Effect":"Allow","Principal":"*","Action":[null]}}`,
		statement(`,"Effect":"Deny"`), statement(`,"NotAction":"x"`), statement(`,"NotPrincipal":"*"`), statement(`,"Resource":"*","NotResource":"*"`), statement(`,"Resource":1`),
		statement(`,"Sid":1`), statement(`,"Conditions":{}`), statement(`,"Condition":[]`), statement(`,"Condition":{"StringEquals":[]}`), statement(`,"Condition":{"StringEquals":{"a":{}}}`),
		statement(`,"Condition":{"StringEquals":{"a":[]}}`), statement(`,"Condition":{"StringEquals":{"a":null}}`), statement(`,"Condition":{"StringEqual":{"a":"b"}}`),
		statement(`,"Condition":{"ForSome:StringEquals":{"a":"b"}}`), statement(`,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/40"}}`),
		statement(`,"Condition":{"StringEquals":{"a":"b"},"StringEquals":{"a":"c"}}`), statement(`,"Condition":{"DateEquals":{"aws:CurrentTime":"soon"}}`),
		`{"Statement":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
	} {
		if _, err := policy.Compile(text, policy.Limits{}); err == nil || policy.IsLimit(err) {
			t.Errorf("%.100s: %v", text, err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	most := policy.Limits{Statements: 2, Principals: 3, Conditions: 1}
	one := func(accounts, condition string) string {
		return `{"Effect":"Allow","Principal":{"AWS":[` + accounts + `]},"Action":"*","Condition":{` + condition + `}}`
	}
	const three, ip = `"111111111111","222222222222","333333333333"`, `"IpAddress":{"aws:SourceIp":"10.0.0.1"}`
	for text, want := range map[string]bool{
		one(three, ip):                        true,
		one(three, ip) + "," + one(`"*"`, ""): true,
		one(`"*"`, "") + "," + one(`"*"`, "") + "," + one(`"*"`, ""): false,
		one(three, "") + "," + one(`"444444444444"`, ""):             false,
		one(three, ip) + "," + one(`"*"`, ip):                        false,
	} {
		_, err := policy.Compile(`{"Statement":[`+text+`]}`, most)
		if got := err == nil; got != want || !want && !policy.IsLimit(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A label is how a statement is taken out of a policy. One that stands twice is refused where a policy is set; a policy that
// has been set before holds.
func TestTwoStatementsOfOneSid(t *testing.T) {
	t.Parallel()
	of := func(sid string) string { return `{"Sid":"` + sid + `","Effect":"Allow","Principal":"*","Action":"*"}` }
	for statements, want := range map[string]bool{of("a") + "," + of("b"): true, of("") + "," + of(""): true, of("a") + "," + of("A"): true, of("a") + "," + of("b") + "," + of("a"): false} {
		_, err := policy.Compile(`{"Statement":[`+statements+`]}`, policy.Limits{DistinctSids: true})
		if (err == nil) != want || policy.IsLimit(err) {
			t.Errorf("%s: %v", statements, err)
		}
		compile(t, statements)
	}
}

// Patterns cannot make a request slow, however they are written.
func TestManyWildcardsAreJudgedAtOnce(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("*a", 4000)
	long := "arn:aws:sqs:us-east-1:" + owner + ":" + strings.Repeat("a", 80)
	p := compile(t, `{"Effect":"Allow","Principal":"*","Action":"*","Resource":["`+deep+`","`+strings.Repeat("*", 8000)+`b","*`+strings.Repeat("*aa", 40)+`b*"]}`)
	r := stranger(func(r *policy.Request) { r.Resource = long })
	for range 1000 { // it would not end if steps grew with what a pattern can mean
		if p.Allows(r) {
			t.Fatal("it matches")
		}
	}
}

func TestWhatIsKnownIsTrustedForAWhile(t *testing.T) {
	t.Parallel()
	var k policy.Known
	now := time.Unix(1_900_000_000, 0)
	fresh := []bool{k.IsFresh(now)}
	k.Confirm(now)
	for _, after := range []time.Duration{0, 3999 * time.Millisecond, 4 * time.Second, -time.Second} {
		fresh = append(fresh, k.IsFresh(now.Add(after)))
	}
	if d := cmp.Diff([]bool{false, true, true, false, false}, fresh); d != "" {
		t.Error(d)
	}
	text := `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*"}}`
	if p := k.Of(text); !p.Allows(stranger(nil)) || k.Of(text) != p || k.Of("") != nil || k.Of(`{}`).Allows(stranger(nil)) {
		t.Error("it is not the one that there is")
	}
}

// FuzzCompile looks for policies that do harm: by what they are, or by letting somebody in without saying Allow.
func FuzzCompile(f *testing.F) {
	for _, condition := range []string{`{"ArnLike":{"aws:SourceArn":"*"}}`, `{"Null":{"a":"true"}}`, `{"ForAllValues:StringLikeIfExists":{"a":["*",1,true]}}`} {
		f.Add(fmt.Sprintf(`{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"AWS":["*"],"Service":"s"},"NotAction":"?*","Resource":["*"],"Condition":%s}]}`, condition))
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := policy.Compile(text, policy.Limits{Statements: 20, Principals: 50, Conditions: 10})
		if err != nil {
			if p != nil || err.Error() == "" {
				t.Errorf("%v with %v", p, err)
			}
			return
		}
		for _, r := range []*policy.Request{stranger(nil), service(nil)} {
			if p.Allows(r) && (p.Denies(r) || !strings.Contains(text, "llow") && !strings.Contains(text, `\u`)) {
				t.Errorf("%s allows %+v", text, r)
			}
		}
	})
}
