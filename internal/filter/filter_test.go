package filter_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/filter"
)

// attributes of a message: name, type, value, and so on.
type attributes []string

func compile(tb testing.TB, policy string, scope filter.Scope) *filter.Policy {
	tb.Helper()
	p, err := filter.Compile(policy, scope)
	if err != nil {
		tb.Fatalf("%.200s: %v", policy, err)
	}
	return p
}

func message(body string, with ...string) *filter.Message {
	m := &filter.Message{}
	m.Reset(body)
	for i := 0; i < len(with); i += 3 {
		m.AddAttribute(with[i], with[i+1], with[i+2])
	}
	return m
}

func TestPoliciesOnAttributes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy string
		with   attributes
		want   bool
	}{
		// Without a policy, or with an empty one, everything is meant.
		{``, nil, true}, {`{}`, nil, true}, {` { } `, attributes{"a", "String", "x"}, true},
		// Keys are joined by and, conditions by or.
		{`{"a":["x","y"]}`, attributes{"a", "String", "y"}, true}, {`{"a":["x","y"]}`, attributes{"a", "String", "z"}, false},
		{`{"a":["x"],"b":["y"]}`, attributes{"a", "String", "x", "b", "String", "y"}, true},
		{`{"a":["x"],"b":["y"]}`, attributes{"a", "String", "x", "b", "String", "z"}, false},
		{`{"a":["x"],"b":["y"]}`, attributes{"a", "String", "x"}, false},
		// Text compares by case, and the empty condition with the empty text.
		{`{"a":["x"]}`, attributes{"a", "String", "X"}, false}, {`{"a":[""]}`, attributes{"a", "String", ""}, true},
		{`{"a":["\u00e9\n"]}`, attributes{"a", "String", "é\n"}, true}, {`{"\u0061":["x"]}`, attributes{"a", "String", "x"}, true},
		// Numbers are for Number and text for String. A label changes nothing.
		{`{"a":[5]}`, attributes{"a", "Number", "5.00"}, true}, {`{"a":[5]}`, attributes{"a", "String", "5"}, false}, {`{"a":["5"]}`, attributes{"a", "Number", "5"}, false},
		{`{"a":[5]}`, attributes{"a", "Number.int", "5"}, true}, {`{"a":["x"]}`, attributes{"a", "String.city", "x"}, true},
		{`{"a":[9007199254740993]}`, attributes{"a", "Number", "9007199254740992"}, false}, {`{"a":[1e2]}`, attributes{"a", "Number", "100"}, true},
		{`{"a":[5]}`, attributes{"a", "Number", "five"}, false},
		// A binary attribute is as if it were not there.
		{`{"a":["x"]}`, attributes{"a", "Binary", "x"}, false}, {`{"a":[{"exists":true}]}`, attributes{"a", "Binary.png", "x"}, false},
		{`{"a":[{"exists":false}]}`, attributes{"a", "Binary", "x", "b", "String", "y"}, true},
		// Words are only in arrays.
		{`{"a":[true]}`, attributes{"a", "String", "true"}, false}, {`{"a":[true]}`, attributes{"a", "String.Array", "[1,true]"}, true},
		{`{"a":[null]}`, attributes{"a", "String.Array", "[null]"}, true}, {`{"a":[false]}`, attributes{"a", "String.Array", "[null,true]"}, false},
		{`{"a":[5]}`, attributes{"a", "String.Array", `["x",5.0]`}, true}, {`{"a":["x"]}`, attributes{"a", "String.Array", `["y",["x"]]`}, true},
		{`{"a":["say \"x\""]}`, attributes{"a", "String.Array", `["say \"x\""]`}, true},
		{`{"a":["x"]}`, attributes{"a", "String.Array", `[{"b":"x"}]`}, false}, {`{"a":[{"exists":true}]}`, attributes{"a", "String.Array", `[]`}, false},
		{`{"a":[{"exists":false}]}`, attributes{"a", "String.Array", `[[]]`}, true}, {`{"a":[{"exists":true}]}`, attributes{"a", "String.Array", `["x"`}, false},
		{`{"a":["x"]}`, attributes{"a", "String.Array", `"x"`}, false}, {`{"a":["x"]}`, attributes{"a", "String.Array", `["x"] y`}, false},
		// What is not there meets only exists:false, and not even that if there are no attributes at all.
		{`{"a":[{"exists":false}]}`, attributes{"b", "String", "x"}, true}, {`{"a":[{"exists":false}]}`, nil, false}, {`{"a":[{"exists":false}]}`, attributes{"a", "String", ""}, false},
		{`{"a":[{"exists":true}]}`, attributes{"a", "String", ""}, true}, {`{"a":[{"exists":true}]}`, attributes{"b", "String", "x"}, false},
		{`{"a":[null,{"anything-but":"x"}]}`, nil, false}, {`{"a":[null,{"anything-but":"x"}]}`, attributes{"b", "String", "x"}, false},
		{`{"a":["x",{"exists":false}]}`, attributes{"a", "String", "x"}, true}, {`{"a":["x",{"exists":false}]}`, attributes{"a", "String", "y"}, false},
		// Dots in names of attributes are letters.
		{`{"a.b":["x"]}`, attributes{"a.b", "String", "x"}, true},
		// Of two attributes with one name the first counts.
		{`{"a":["x"]}`, attributes{"a", "String", "x", "a", "String", "y"}, true}, {`{"a":["y"]}`, attributes{"a", "String", "x", "a", "String", "y"}, false},
		{`{"$or":[{"a":["x"]},{"b":["y"]}]}`, attributes{"b", "String", "y"}, true}, {`{"$or":[{"a":["x"]},{"b":["y"]}]}`, attributes{"b", "String", "z"}, false},
		{`{"c":["z"],"$or":[{"a":["x"]},{"b":["y"]}]}`, attributes{"b", "String", "y"}, false},
		{`{"c":["z"],"$or":[{"a":["x"]},{"b":["y"]}]}`, attributes{"b", "String", "y", "c", "String", "z"}, true},
	} {
		if got := compile(t, c.policy, filter.Attributes).Match(message("", c.with...)); got != c.want {
			t.Errorf("%s of %q: got %t, want %t", c.policy, c.with, got, c.want)
		}
	}
}

func TestPoliciesOnBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy, body string
		want         bool
	}{
		// What is no JSON object matches nothing but the empty policy.
		{`{}`, `hello`, true}, {`{"a":[{"exists":false}]}`, `hello`, false}, {`{"a":[{"exists":false}]}`, `["a"]`, false}, {`{"a":[{"exists":false}]}`, `{"a":1`, false},
		{`{"a":[{"exists":false}]}`, `{"b":1}x`, false}, {`{"a":[{"exists":false}]}`, ``, false}, {`{"a":[{"exists":false}]}`, "{\"b\":\"\xff\"}", false}, {`{"a":[{"exists":false}]}`, `{}`, true},
		{`{"a":["x"]}`, " \n{ \"a\" : \"x\" } ", true}, {`{"a":["x"]}`, `{"a":"y"}`, false}, {`{"a":[null]}`, `{"a":null}`, true}, {`{"a":[null]}`, `{}`, false},
		{`{"a":[true]}`, `{"a":true}`, true}, {`{"a":["true"]}`, `{"a":true}`, false}, {`{"a":[1.50]}`, `{"a":15e-1}`, true}, {`{"a":["é\""]}`, `{"\u0061":"\u00e9\""}`, true},
		// Nested keys, and keys with dots, are the same thing on both sides.
		{`{"a":{"b":["x"]}}`, `{"a":{"b":"x"}}`, true}, {`{"a":{"b":["x"]}}`, `{"a.b":"x"}`, true}, {`{"a.b":["x"]}`, `{"a":{"b":"x"}}`, true},
		{`{"a.b":["x"],"a":{"b":["y"]}}`, `{"a.b":"x","a":{"b":"y"}}`, true}, {`{"a":{"b":["x"]}}`, `{"b":"x"}`, false}, {`{"a.":{"b":["x"]}}`, `{"a":{"":{"b":"x"}}}`, true},
		{`{"":["x"]}`, `{"":"x"}`, true}, {`{"a":{"b":["x"],"c":["y"]}}`, `{"a":{"b":"x","c":"z"}}`, false},
		// Arrays are flat, and keys may be met by different elements.
		{`{"a":["x"]}`, `{"a":["y",["z",["x"]]]}`, true}, {`{"a":["x"]}`, `{"a":["y"]}`, false},
		{`{"r":{"s":["x"],"n":[2]}}`, `{"r":[{"s":"x","n":1},{"s":"y","n":2}]}`, true}, {`{"r":{"s":["x"],"n":[3]}}`, `{"r":[{"s":"x","n":1},{"s":"y","n":2}]}`, false},
		{`{"a":["x"]}`, `{"a":"y","a":"x"}`, true},
		// Only values exist; what has others in it does not, and neither does what is empty.
		{`{"a":[{"exists":true}]}`, `{"a":{"b":1}}`, false}, {`{"a":[{"exists":false}]}`, `{"a":{"b":1}}`, true}, {`{"a":[{"exists":true}]}`, `{"a":[]}`, false},
		{`{"a":[{"exists":false}]}`, `{"a":[]}`, true}, {`{"a":[{"exists":true}]}`, `{"a":[null]}`, true}, {`{"a":{"b":[{"exists":true}]}}`, `{"a":[{"c":1},{"b":1}]}`, true},
		{`{"a":{"b":[{"exists":false}]}}`, `{"a":[{"c":1},{"b":1}]}`, false},
		// Text.
		{`{"a":[{"prefix":"ord"}]}`, `{"a":"order"}`, true}, {`{"a":[{"prefix":"ord"}]}`, `{"a":"Order"}`, false}, {`{"a":[{"prefix":""}]}`, `{"a":""}`, true}, {`{"a":[{"prefix":""}]}`, `{"a":1}`, false},
		{`{"a":[{"suffix":".png"}]}`, `{"a":"x.png"}`, true}, {`{"a":[{"suffix":".png"}]}`, `{"a":"png"}`, false},
		{`{"a":[{"equals-ignore-case":"straße"}]}`, `{"a":"STRAßE"}`, true}, {`{"a":[{"equals-ignore-case":"a"}]}`, `{"a":"b"}`, false},
		{`{"a":[{"wildcard":"o*.e*"}]}`, `{"a":"order.eu"}`, true}, {`{"a":[{"wildcard":"o*.e*"}]}`, `{"a":"order-eu"}`, false}, {`{"a":[{"wildcard":"ab*ba"}]}`, `{"a":"aba"}`, false},
		{`{"a":[{"wildcard":"*"}]}`, `{"a":""}`, true}, {`{"a":[{"wildcard":"a\\*\\\\*"}]}`, `{"a":"a*\\x"}`, true}, {`{"a":[{"wildcard":"a\\*"}]}`, `{"a":"ab"}`, false}, {`{"a":[{"wildcard":"a\\*"}]}`, `{"a":"a*"}`, true},
		{`{"a":[{"wildcard":"\\**"}]}`, `{"a":"*x"}`, true},
		// Everything but.
		{`{"a":[{"anything-but":"x"}]}`, `{"a":"y"}`, true}, {`{"a":[{"anything-but":"x"}]}`, `{"a":"x"}`, false}, {`{"a":[{"anything-but":"x"}]}`, `{}`, false},
		{`{"a":[{"anything-but":["x","y"]}]}`, `{"a":"y"}`, false}, {`{"a":[{"anything-but":["x","y"]}]}`, `{"a":["x","z"]}`, true}, {`{"a":[{"anything-but":["x","y"]}]}`, `{"a":["x","y"]}`, false},
		{`{"a":[{"anything-but":"x"}]}`, `{"a":5}`, true}, {`{"a":[{"anything-but":"x"}]}`, `{"a":null}`, true}, {`{"a":[{"anything-but":"x"}]}`, `{"a":[]}`, false},
		{`{"a":[{"anything-but":5}]}`, `{"a":5.0}`, false}, {`{"a":[{"anything-but":[5,6]}]}`, `{"a":7}`, true}, {`{"a":[{"anything-but":5}]}`, `{"a":"5"}`, true}, {`{"a":[{"anything-but":[true,null]}]}`, `{"a":null}`, false},
		{`{"a":[{"anything-but":{"prefix":"o"}}]}`, `{"a":"order"}`, false}, {`{"a":[{"anything-but":{"prefix":"o"}}]}`, `{"a":"x"}`, true}, {`{"a":[{"anything-but":{"prefix":["o","p"]}}]}`, `{"a":"paid"}`, false},
		{`{"a":[{"anything-but":{"suffix":"o"}}]}`, `{"a":"foo"}`, false}, {`{"a":[{"anything-but":{"suffix":"o"}}]}`, `{"a":"x"}`, true},
		{`{"a":[{"anything-but":{"wildcard":"*o*"}}]}`, `{"a":"dot"}`, false}, {`{"a":[{"anything-but":{"wildcard":"*o*"}}]}`, `{"a":"x"}`, true},
		{`{"a":[{"anything-but":{"equals-ignore-case":["X","y"]}}]}`, `{"a":"x"}`, false}, {`{"a":[{"anything-but":{"equals-ignore-case":"X"}}]}`, `{"a":"z"}`, true},
		{`{"a":[{"anything-but":{"prefix":"x"}},{"anything-but":{"prefix":"y"}}]}`, `{"a":"xx"}`, true},
		// Numbers.
		{`{"a":[{"numeric":["=",5]}]}`, `{"a":5.000}`, true}, {`{"a":[{"numeric":["=",5]}]}`, `{"a":"5"}`, false}, {`{"a":[{"numeric":["<",5]}]}`, `{"a":5}`, false}, {`{"a":[{"numeric":["<=",5]}]}`, `{"a":5}`, true},
		{`{"a":[{"numeric":[">",5]}]}`, `{"a":5}`, false}, {`{"a":[{"numeric":[">=",5]}]}`, `{"a":5}`, true}, {`{"a":[{"numeric":[">",-1.5]}]}`, `{"a":-1.49999}`, true},
		{`{"a":[{"numeric":[">",0,"<=",100]}]}`, `{"a":100}`, true}, {`{"a":[{"numeric":[">",0,"<=",100]}]}`, `{"a":0}`, false}, {`{"a":[{"numeric":[">=",0,"<",100]}]}`, `{"a":100}`, false},
		{`{"a":[{"numeric":[">=",0,"<",100]}]}`, `{"a":[200,50]}`, true}, {`{"a":[{"numeric":["<",1e400]}]}`, `{"a":1e399}`, true},
		// Addresses.
		{`{"a":[{"cidr":"10.0.0.0/24"}]}`, `{"a":"10.0.0.255"}`, true}, {`{"a":[{"cidr":"10.0.0.0/24"}]}`, `{"a":"10.0.1.0"}`, false}, {`{"a":[{"cidr":"10.0.0.7/24"}]}`, `{"a":"10.0.0.1"}`, true},
		{`{"a":[{"cidr":"10.0.0.0/24"}]}`, `{"a":"::ffff:10.0.0.1"}`, true}, {`{"a":[{"cidr":"2001:db8::/32"}]}`, `{"a":"2001:db8::1"}`, true}, {`{"a":[{"cidr":"2001:db8::/32"}]}`, `{"a":"2001:db9::1"}`, false},
		{`{"a":[{"cidr":"0.0.0.0/0"}]}`, `{"a":"localhost"}`, false}, {`{"a":[{"cidr":"fe80::/10"}]}`, `{"a":"fe80::1%eth0"}`, false}, {`{"a":[{"cidr":"::/0"}]}`, `{"a":"1.2.3.4"}`, false},
		// Alternatives.
		{`{"$or":[{"a":["x"]},{"b":{"c":["y"]}}]}`, `{"b":{"c":"y"}}`, true}, {`{"b":{"$or":[{"c":["y"]},{"d":["z"]}],"e":["v"]}}`, `{"b":{"d":"z","e":"v"}}`, true},
		{`{"b":{"$or":[{"c":["y"]},{"d":["z"]}],"e":["v"]}}`, `{"b":{"d":"z"}}`, false}, {`{"$or":[{"a":["x"],"b":["y"]},{"$or":[{"c":["z"]},{"d":["z"]}]}]}`, `{"d":"z","a":"x"}`, true},
		{`{"$or":[{"a":["x"],"b":["y"]},{"$or":[{"c":["z"]},{"d":["z"]}]}]}`, `{"a":"x"}`, false},
	} {
		if got := compile(t, c.policy, filter.Body).Match(message(c.body)); got != c.want {
			t.Errorf("%s of %s: got %t, want %t", c.policy, c.body, got, c.want)
		}
	}
}

func TestLongListsHaveNoOrder(t *testing.T) {
	t.Parallel()
	var listed []string
	for i := range 70 {
		listed = append(listed, strconv.Itoa(i*37%70), strconv.Quote(strconv.Itoa(i*37%70)))
	}
	all := strings.Join(listed, ",")
	exact, but := compile(t, `{"a":[`+all+`]}`, filter.Body), compile(t, `{"a":[{"anything-but":[`+all+`]}]}`, filter.Body)
	for i := range 80 {
		for _, body := range []string{fmt.Sprintf(`{"a":%d.0}`, i), fmt.Sprintf(`{"a":"%d"}`, i)} {
			if got, want := exact.Match(message(body)), i < 70; got != want || but.Match(message(body)) == want {
				t.Errorf("%s: got %t, want %t", body, got, want)
			}
		}
	}
}

// What is wrong is said in the words of SNS, which clients know, and with its place.
func TestWrongPoliciesAreRefused(t *testing.T) {
	t.Parallel()
	or := func(n int) string { return `{"$or":[` + strings.Repeat(`{"a":[1]},`, n-1) + `{"a":[1]}]}` }
	list := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }
	for _, c := range []struct {
		policy string
		scope  filter.Scope
		want   string
		column int // 0: wherever
	}{
		{`{"a":["x"]`, filter.Attributes, "FilterPolicy: failed to parse JSON", 10}, {`{"a":["x"]}}`, filter.Attributes, "FilterPolicy: failed to parse JSON", 12}, {` `, filter.Attributes, "FilterPolicy: failed to parse JSON", 0},
		{"{\"é\xff\":[1]}", filter.Attributes, "FilterPolicy: failed to parse JSON", 4}, {`["a"]`, filter.Attributes, "FilterPolicy: Filter policy must be an object", 1}, {`null`, filter.Body, "FilterPolicy: Filter policy must be an object", 1},
		{`{"a":[]}`, filter.Attributes, "FilterPolicy: Empty arrays are not allowed", 6}, {`{"a":"x"}`, filter.Attributes, `FilterPolicy: "a" must be an object or an array`, 6}, {`{"a":{"b":1}}`, filter.Body, `FilterPolicy: "b" must be an object or an array`, 11},
		{`{"a":{}}`, filter.Body, "FilterPolicy: Empty objects are not allowed", 6}, {`{"a":{"b":[1]}}`, filter.Attributes, "Filter policy scope MessageAttributes does not support nested filter policy", 6},
		{`{"a":[["x"]]}`, filter.Attributes, "FilterPolicy: Match value must be String, number, true, false, or null", 7}, {`{"a":[{"starts":"x"}]}`, filter.Attributes, "FilterPolicy: Unrecognized match type starts", 8},
		{`{"a":[{"prefix":"x","suffix":"y"}]}`, filter.Attributes, "FilterPolicy: Only one key allowed in match expression", 20}, {`{"a":[{}]}`, filter.Attributes, "FilterPolicy: Only one key allowed in match expression", 7},
		{`{"a":[{"prefix":5}]}`, filter.Attributes, "FilterPolicy: prefix match pattern must be a string", 17}, {`{"a":[{"suffix":["x"]}]}`, filter.Attributes, "FilterPolicy: suffix match pattern must be a string", 17},
		{`{"a":[{"equals-ignore-case":null}]}`, filter.Attributes, "FilterPolicy: equals-ignore-case match pattern must be a string", 29}, {`{"a":[{"wildcard":true}]}`, filter.Attributes, "FilterPolicy: wildcard match pattern must be a string", 19},
		{`{"a":[{"wildcard":"a**b"}]}`, filter.Attributes, "FilterPolicy: Consecutive wildcard characters at pos 1", 0}, {`{"a":[{"wildcard":"` + strings.Repeat("*", 1000) + `"}]}`, filter.Attributes, "FilterPolicy: Consecutive wildcard characters at pos 0", 0},
		{`{"a":[{"wildcard":"a\\b"}]}`, filter.Attributes, "FilterPolicy: Invalid escape character at pos 1", 19}, {`{"a":[{"wildcard":"a\\"}]}`, filter.Attributes, "FilterPolicy: Invalid escape character at pos 1", 19},
		{`{"a":[{"exists":"yes"}]}`, filter.Attributes, "FilterPolicy: exists match pattern must be either true or false.", 17}, {`{"a":[{"exists":{}}]}`, filter.Attributes, "FilterPolicy: exists match pattern must be either true or false.", 17},
		{`{"a":[{"cidr":5}]}`, filter.Attributes, "FilterPolicy: prefix match pattern must be a string", 15}, {`{"a":[{"cidr":"bad"}]}`, filter.Attributes, "FilterPolicy: Malformed CIDR, one '/' required", 15}, {`{"a":[{"cidr":"1.2.3.4/5/6"}]}`, filter.Attributes, "FilterPolicy: Malformed CIDR, one '/' required", 15},
		{`{"a":[{"cidr":"1.2.3.4/x"}]}`, filter.Attributes, "FilterPolicy: Malformed CIDR, mask bits must be an integer", 15}, {`{"a":[{"cidr":"1.2.3/8"}]}`, filter.Attributes, "FilterPolicy: Nonstandard IP address: 1.2.3", 15},
		{`{"a":[{"cidr":"1.2.3.4/33"}]}`, filter.Attributes, "FilterPolicy: Nonstandard IP address: 1.2.3.4", 15}, {`{"a":[{"cidr":"fe80::1%lo/64"}]}`, filter.Attributes, "FilterPolicy: Nonstandard IP address: fe80::1%lo", 15},
		{`{"a":[{"anything-but":[]}]}`, filter.Attributes, "FilterPolicy: Empty arrays are not allowed", 23}, {`{"a":[{"anything-but":{"numeric":["=",1]}}]}`, filter.Attributes, "FilterPolicy: Unsupported anything-but pattern: numeric", 24},
		{`{"a":[{"anything-but":{"prefix":5}}]}`, filter.Attributes, "FilterPolicy: prefix match pattern must be a string", 33}, {`{"a":[{"anything-but":{"prefix":["x",5]}}]}`, filter.Attributes, "FilterPolicy: prefix match pattern must be a string", 38},
		{`{"a":[{"anything-but":[["x"]]}]}`, filter.Attributes, "FilterPolicy: Match value must be String, number, true, false, or null", 24}, {`{"a":[{"anything-but":{}}]}`, filter.Attributes, "FilterPolicy: Only one key allowed in match expression", 23},
		{`{"a":[{"anything-but":{"prefix":"x","suffix":"y"}}]}`, filter.Attributes, "FilterPolicy: Only one key allowed in match expression", 36},
		{`{"a":[{"numeric":5}]}`, filter.Attributes, "FilterPolicy: Value of numeric must be an array.", 18}, {`{"a":[{"numeric":[]}]}`, filter.Attributes, "FilterPolicy: Invalid member in numeric match: ]", 18},
		{`{"a":[{"numeric":[5]}]}`, filter.Attributes, "FilterPolicy: Invalid member in numeric match: 5", 19}, {`{"a":[{"numeric":["~",5]}]}`, filter.Attributes, "FilterPolicy: Unrecognized numeric range operator: ~", 19},
		{`{"a":[{"numeric":["=","000"]}]}`, filter.Attributes, "FilterPolicy: Value of equals must be numeric", 23}, {`{"a":[{"numeric":["<"]}]}`, filter.Attributes, "FilterPolicy: Value of < must be numeric", 22},
		{`{"a":[{"numeric":["=",1,2]}]}`, filter.Attributes, "FilterPolicy: Too many elements in numeric expression", 24}, {`{"a":[{"numeric":["<",1,">",0]}]}`, filter.Attributes, "FilterPolicy: Too many elements in numeric expression", 24},
		{`{"a":[{"numeric":[">",1,2]}]}`, filter.Attributes, "FilterPolicy: Bad value in numeric range: 2", 25}, {`{"a":[{"numeric":[">",1,">",2]}]}`, filter.Attributes, "FilterPolicy: Bad numeric range operator: >", 25},
		{`{"a":[{"numeric":[">",3,"<",1]}]}`, filter.Attributes, "FilterPolicy: Bottom must be less than top", 25}, {`{"a":[{"numeric":[">=",3,"<=",3]}]}`, filter.Attributes, "FilterPolicy: Bottom must be less than top", 26},
		{`{"a":[{"numeric":[">",1,"<","x"]}]}`, filter.Attributes, "FilterPolicy: Value of < must be numeric", 29}, {`{"a":[{"numeric":[">",1,"<",2,3]}]}`, filter.Attributes, "FilterPolicy: Too many terms in numeric range expression", 30},
		{`{"a":["x"],"a":["y"]}`, filter.Attributes, `FilterPolicy: Key "a" stands twice in one object`, 12}, {`{"$or":[{"a":[1]}]}`, filter.Attributes, `FilterPolicy: "$or" must be an array of two or more objects`, 8},
		{`{"$or":{"a":[1]}}`, filter.Body, `FilterPolicy: "$or" must be an array of two or more objects`, 8}, {`{"$or":[]}`, filter.Body, "FilterPolicy: Empty arrays are not allowed", 8}, {`{"$or":[{"a":[1]},"b"]}`, filter.Body, `FilterPolicy: "$or" must be an array of two or more objects`, 19},
		{`{"$or":[{"a":[1]},{}]}`, filter.Body, "FilterPolicy: Empty objects are not allowed", 19},
		{`{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}`, filter.Attributes, "FilterPolicy: Filter policy can not have more than 5 keys", 42}, {`{"$or":[{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]},{"a":[1]}]}`, filter.Attributes, "FilterPolicy: Filter policy can not have more than 5 keys", 50},
		{`{"a":` + list(151) + `}`, filter.Attributes, "FilterPolicy: Filter policy is too complex", 0}, {`{"a":` + list(50) + `,"b":` + list(4) + `}`, filter.Attributes, "FilterPolicy: Filter policy is too complex", 0},
		{`{"a":["` + strings.Repeat(`x","`, 75) + `x"],"b":["x",1]}`, filter.Attributes, "FilterPolicy: Filter policy is too complex", 0},
		{`{"a":{"b":` + list(76) + `}}`, filter.Body, "FilterPolicy: Filter policy is too complex", 0}, {or(151), filter.Body, "FilterPolicy: Filter policy is too complex", 0}, {`{"a":{"b":{"c":` + list(4) + `}},"d":{"e":` + list(3) + `},"f":[1,2,3]}`, filter.Body, "FilterPolicy: Filter policy is too complex", 0},
		{strings.Repeat(`{"a":`, 200) + `[1]` + strings.Repeat(`}`, 200), filter.Body, "FilterPolicy: Filter policy is too complex", 0}, {`{"` + strings.Repeat(".", 200) + `":[1]}`, filter.Body, "FilterPolicy: Filter policy is too complex", 0},
		{strings.Repeat(`{"$or":[`, 4000) + `{}` + strings.Repeat(`]}`, 4000), filter.Body, "FilterPolicy: Filter policy is too complex", 0}, {`{"a":[{"anything-but":` + list(1001) + `}]}`, filter.Attributes, "FilterPolicy: Filter policy is too complex: anything-but takes at most 1000 values", 0},
		{`{"a":["` + strings.Repeat("x", filter.MaxBytes) + `"]}`, filter.Attributes, "FilterPolicy: Filter policy is too long: it has 262154 bytes, and at most 262144 are allowed", 1},
	} {
		p, err := filter.Compile(c.policy, c.scope)
		var e *errs.Error
		if e, _ = err.(*errs.Error); e == nil || e.Kind != errs.Invalid || e.Code != "filter_policy_invalid" || len(e.Fields) != 1 { //nolint:errorlint // exactly this type
			t.Errorf("%.100s: got %v and the error %v", c.policy, p, err)
			continue
		}
		if got := filter.Reason(err); got != c.want {
			t.Errorf("%.100s: got %q, want %q", c.policy, got, c.want)
		}
		if got := e.Fields[0].Column; c.column != 0 && got != c.column || e.Fields[0].Line != 1 {
			t.Errorf("%.100s: got line %d, column %d, want column %d", c.policy, e.Fields[0].Line, got, c.column)
		}
	}
	_, err := filter.Compile("{\n  \"a\": [\n    {\"size\": 5}\n  ]\n}", filter.Attributes)
	if want := "The filter policy is wrong at line 3, column 6: Unrecognized match type size."; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestPoliciesAtTheLimitsAreRead(t *testing.T) {
	t.Parallel()
	list := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }
	for _, policy := range []string{
		`{"a":` + list(150) + `}`, `{"a":` + list(15) + `,"b":` + list(10) + `}`, `{"a":{"b":` + list(75) + `}}`, `{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1]}`,
		`{"a":{"b":{"c":` + list(4) + `}},"d":{"e":` + list(3) + `},"f":[1,2]}`, `{"$or":[` + strings.Repeat(`{"a":[1]},`, 149) + `{"a":[1]}]}`, strings.Repeat(`{"a":`, 149) + `[1]` + strings.Repeat(`}`, 149),
		`{"a":[{"anything-but":` + list(1000) + `}]}`, `{"a":["` + strings.Repeat("x", filter.MaxBytes-10) + `"]}`,
	} {
		compile(t, policy, filter.Body)
	}
}

func TestScopesHaveTheNamesOfSNS(t *testing.T) {
	t.Parallel()
	for _, scope := range []filter.Scope{filter.Attributes, filter.Body} {
		if got, err := filter.ParseScope(scope.String()); err != nil || got != scope {
			t.Errorf("%s is read as %s, %v", scope, got, err)
		}
	}
	_, err := filter.ParseScope("body")
	if got, want := filter.Reason(err), "FilterPolicyScope: Invalid value [body]. Please use either MessageBody or MessageAttributes"; got != want || errs.KindOf(err) != errs.Invalid {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An explanation names each part that fails, what it asks for and what was there.
func TestFailuresAreExplained(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		policy  string
		scope   filter.Scope
		message *filter.Message
		want    []string
	}{
		{`{}`, filter.Body, message("x"), nil},
		{`{"tier":["pro"]}`, filter.Attributes, message("", "tier", "String", "pro"), nil},
		{`{"tier":["pro", "team"]}`, filter.Attributes, message("", "tier", "String", "free"), []string{`/tier ["pro", "team"] <- ["free"]: The value meets none of the conditions.`}},
		{`{"tier":["pro"],"n":[1]}`, filter.Attributes, message("", "x", "String", ""), []string{`/tier ["pro"] <- []: There is no attribute "tier".`, `/n [1] <- []: There is no attribute "n".`}},
		{`{"tier":["pro"],"n":[1]}`, filter.Attributes, message("", "n", "Number", "1", "tier", "Number", "7"), []string{`/tier ["pro"] <- [7]: The conditions are about text, and this is a number.`}},
		{`{"tier":["pro"]}`, filter.Attributes, message("", "tier", "Binary", "pro"), []string{` <- []: The message has no attributes that policies look at, which are those of type String, Number and String.Array.`}},
		{`{"tier":[{"exists":false}]}`, filter.Attributes, message("", "tier", "String", ""), []string{`/tier [{"exists":false}] <- [""]: There is an attribute "tier", and there should be none.`}},
		{`{"tier":[{"exists":true}]}`, filter.Body, message("[]"), []string{` <- []: The body is not a JSON object.`}},
		{`{"a":{"b/c~d":[{"numeric":[">",5]}]}}`, filter.Body, message(`{"a":[{"b/c~d":1.50},{"b/c~d":[2]}]}`), []string{`/a/b~1c~0d [{"numeric":[">",5]}] <- [1.50 2]: None of the 2 values meets one of the conditions.`}},
		{`{"a":{"b":[null, 5]}}`, filter.Body, message(`{"a.b":"\u00e9"}`), []string{`/a/b [null, 5] <- ["é"]: The conditions are about a number or true, false or null, and this is text.`}},
		{`{"x":["y"],"$or":[{"a":["1"]},{"b":["2"],"c":["3"]}]}`, filter.Body, message(`{"x":"y","b":"2"}`), []string{`/$or/0/a ["1"] <- []: There is no value "a".`, `/$or/1/c ["3"] <- []: There is no value "c".`}},
		{`{"$or":[{"a":["1"]},{"b":["2"],"c":["3"]}]}`, filter.Body, message(`{"a":"1"}`), nil},
		{`{"a":["y"]}`, filter.Body, message(`{"a":"` + long + `"}`), []string{`/a ["y"] <- ["` + long[:256] + `…"]: The value meets none of the conditions.`}},
		{`{"a":[7]}`, filter.Attributes, message("", "a", "Number", "x"), []string{`/a [7] <- ["x"]: The value meets none of the conditions.`}},
		{`{"a":[0]}`, filter.Body, message(`{"a":[1,2,3,4,5,6,7,8,9,10,11]}`), []string{`/a [0] <- [1 2 3 4 5 6 7 8 9 10]: None of the 11 values meets one of the conditions.`}},
	} {
		var got []string
		p := compile(t, c.policy, c.scope)
		for _, f := range p.Explain(c.message) {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s", f.Path, f.Want))+fmt.Sprintf(" <- %s: %s", f.Got, f.Why))
			for _, v := range f.Got {
				if !json.Valid(v) {
					t.Errorf("%s: %s is no JSON", c.policy, v)
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.policy, diff)
		}
	}
}

// A message that is filled again has nothing of the one before.
func TestMessagesAreUsedAgain(t *testing.T) {
	t.Parallel()
	onBody, onAttributes := compile(t, `{"a":["x"]}`, filter.Body), compile(t, `{"a":["x"]}`, filter.Attributes)
	large := `{"b":[` + strings.Repeat("1,", 5000) + `1]}`
	var m filter.Message
	for i, c := range []struct {
		body             string
		value            string
		wantBody, wantAt bool
	}{{`{"a":"x"}`, "x", true, true}, {`{"b":"x"}`, "", false, false}, {`{"a":"x"`, "y", false, false}, {large, "x", false, true}, {`{"a":"x"}`, "", true, false}} {
		m.Reset(c.body)
		if c.value != "" {
			m.AddAttribute("a", "String", c.value)
		}
		if got := onBody.Match(&m); got != c.wantBody {
			t.Errorf("message %d: body: got %t, want %t", i, got, c.wantBody)
		}
		if got := onAttributes.Match(&m); got != c.wantAt {
			t.Errorf("message %d: attributes: got %t, want %t", i, got, c.wantAt)
		}
	}
}

func TestOnePolicyServesMany(t *testing.T) {
	t.Parallel()
	p := compile(t, `{"a":[{"numeric":[">",5]},{"wildcard":"x*y"}],"b":[{"anything-but":{"prefix":"q"}}]}`, filter.Body)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var m filter.Message
			for i := range 500 {
				m.Reset(fmt.Sprintf(`{"a":%d,"b":"\u0061"}`, i))
				if got, want := p.Match(&m), i > 5; got != want {
					t.Errorf("%d: got %t, want %t", i, got, want)
				}
			}
		})
	}
	wg.Wait()
}

// What is a policy's worst case must take neither longer than its size, nor more memory than it is said to.
func TestNothingIsSlow(t *testing.T) {
	t.Parallel()
	const large = 64 << 10
	wild := `{"a":[{"wildcard":"` + strings.Repeat("*a", 1000) + `*b"}]}`
	keys := &strings.Builder{}
	for i := 0; keys.Len() < large; i++ {
		fmt.Fprintf(keys, `,"k%d":[%d]`, i, i)
	}
	for name, c := range map[string]struct{ policy, body string }{
		"wildcards":     {wild, `{"a":"` + strings.Repeat("a", large) + `"}`},
		"many values":   {`{"a":["` + strings.Repeat(`x","`, 149) + `y"]}`, `{"a":[` + strings.Repeat("1,", large/2) + `1]}`},
		"many numbers":  {`{"a":[` + strings.Repeat(`5,`, 149) + `6]}`, `{"a":[` + strings.Repeat("1,", large/2) + `1]}`},
		"many keys":     {`{"k7":[8]}`, "{" + keys.String()[1:] + "}"},
		"many dots":     {`{"a":[1]}`, `{"` + strings.Repeat(".", large) + `":1}`},
		"deep brackets": {`{"a":[1]}`, `{"a":` + strings.Repeat("[", large)},
		"deep objects":  {`{"a":[1]}`, strings.Repeat(`{"a":`, large)},
		"escapes":       {`{"a":["` + strings.Repeat("a", 4000) + `"]}`, `{"a":[` + strings.Repeat(`"\u0061",`, large/9) + `1]}`},
		"many ranges":   {`{"a":[` + strings.Repeat(`{"numeric":[">",2,"<",3]},`, 149) + `6]}`, `{"a":[` + strings.Repeat("1,", large/2) + `1]}`},
		"long number":   {`{"a":[` + strings.Repeat("9", 4000) + `]}`, `{"a":` + strings.Repeat("9", large) + `}`},
	} {
		begin := time.Now()
		compile(t, c.policy, filter.Body).Match(message(c.body))
		// Quadratic work would take longer; this is far above what a busy machine needs for the rest.
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s: took %s", name, took)
		} else {
			t.Logf("%s: %s", name, took)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const size = 64 << 10
	for name, f := range map[string]func(){
		"keys in a body": func() { compile(t, `{"a":[1]}`, filter.Body).Match(message(`{"` + strings.Repeat(".", size) + `":1}`)) },
		"values in a body": func() {
			compile(t, `{"a":[1]}`, filter.Body).Match(message(`{"a":[` + strings.Repeat("1,", size/2) + `1]}`))
		},
		"conditions": func() { _, _ = filter.Compile(`{"a":[`+strings.Repeat("1,", size/2)+`1]}`, filter.Body) },
		"listed": func() {
			_, _ = filter.Compile(`{"a":[{"anything-but":[`+strings.Repeat("1,", size/2)+`1]}]}`, filter.Body)
		},
		"alternatives": func() {
			_, _ = filter.Compile(`{"$or":[`+strings.Repeat(`{"a":[1]},`, size/10)+`{"a":[1]}]}`, filter.Body)
		},
		"depth": func() {
			_, _ = filter.Compile(strings.Repeat(`{"a":`, size/6)+`[1]`+strings.Repeat("}", size/6), filter.Body)
		},
		"dots": func() { _, _ = filter.Compile(`{"`+strings.Repeat(".", size)+`":[1]}`, filter.Body) },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		took := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d bytes for each of the input", name, took/size)
		if took > 250*size {
			t.Errorf("%s: %d KiB of input need %d KiB", name, size>>10, took>>10)
		}
	}
}
