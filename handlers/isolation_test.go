package handlers_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// attempt is what a request to one operation looks like. In query, body and headers $name stands for an id of the kind
// that places names; the places in the path are known by their names.
type attempt struct {
	places map[string]string // name of the place to the kind of its id
	query  string
	body   string
	header []string // names and values in turn
}

// inPath are the kinds of the ids in paths.
var inPath = map[string]string{"queue": "queue", "handle": "receipt", "schedule": "schedule", "tenant": "tenant", "plan": "text",
	"topic": "topic", "subscription": "subscription", "topic_subscription": "topic subscription", "version": "text", "alarm": "alarm"}

// kindOfID says what :id is, by what stands before it.
var kindOfID = map[string]string{"messages": "message", "tasks": "task", "keys": "key", "operator_keys": "operator key", "sessions": "session",
	"members": "member", "operators": "operator", "portal_links": "portal link", "deliveries": "delivery"}

var (
	nothing = attempt{}
	pages   = attempt{places: map[string]string{"cursor": "cursor"}, query: "cursor=$cursor"}
)

// attempts has an entry for every operation: where ids can stand besides its path.
var attempts = map[string]attempt{
	"whoami":                  nothing,
	"createToken":             {places: map[string]string{"queue": "queue"}, body: `{"queues":["$queue"]}`},
	"getSigningKeys":          nothing,
	"listSignInProviders":     nothing,
	"beginSignIn":             {places: map[string]string{"issuer": "text"}, query: "issuer=$issuer"},
	"finishSignIn":            {places: map[string]string{"code": "text"}, query: "code=$code&state=x"},
	"createSession":           {places: map[string]string{"key": "text"}, body: `{"key":"$key"}`},
	"getSession":              nothing,
	"endSession":              nothing,
	"listSessions":            nothing,
	"revokeSession":           nothing,
	"endView":                 nothing,
	"viewAsTenant":            nothing,
	"changePassword":          {body: `{"current":"0123456789","new":"9876543210"}`},
	"acceptInvitation":        {places: map[string]string{"token": "text"}, body: `{"token":"$token","password":"0123456789"}`},
	"listMembers":             nothing,
	"inviteMember":            {body: `{"email":"new@example.com","role":"viewer"}`},
	"inviteMemberAgain":       nothing,
	"updateMember":            {body: `{"role":"viewer"}`},
	"removeMember":            nothing,
	"listQueues":              {places: map[string]string{"prefix": "queue"}, query: "prefix=$prefix"},
	"putQueue":                {places: map[string]string{"dead": "queue", "source": "queue"}, body: `{"redrive":{"dead_letter_queue":"$dead","max_receives":3},"redrive_allow":{"permission":"sources","sources":["$source"]}}`},
	"updateQueue":             {places: map[string]string{"dead": "queue", "source": "queue"}, body: `{"redrive":{"dead_letter_queue":"$dead","max_receives":3},"redrive_allow":{"permission":"sources","sources":["$source"]}}`},
	"getQueue":                nothing,
	"deleteQueue":             nothing,
	"getQueueStats":           nothing,
	"getStats":                nothing,
	"getSparks":               {places: map[string]string{"name": "queue"}, query: "queues=$name"},
	"getQuotas":               nothing,
	"getSystem":               nothing,
	"examineSystem":           nothing,
	"getSupportBundle":        nothing,
	"getSystemStats":          nothing,
	"tailLog":                 {query: refused[1:]}, // it would go on
	"pauseQueue":              nothing,
	"resumeQueue":             nothing,
	"purgeQueue":              {places: map[string]string{"confirm": "queue"}, body: `{"confirm":"$confirm"}`},
	"redriveQueue":            {places: map[string]string{"to": "queue", "message": "message"}, body: `{"to":"$to","message_ids":["$message"]}`},
	"sendMessage":             {places: map[string]string{"key": "text"}, body: "x", header: []string{"Idempotency-Key", "$key", "Content-Type", "text/plain"}},
	"sendMessages":            {places: map[string]string{"key": "text"}, body: `{"messages":[{"body":"x"}]}`, header: []string{"Idempotency-Key", "$key"}},
	"peekMessages":            {places: map[string]string{"id": "message"}, query: "filter=id:$id"},
	"exportMessages":          {places: map[string]string{"id": "message"}, query: "ids=$id"},
	"countReasons":            {places: map[string]string{"id": "message"}, query: "filter=id:$id"},
	"getMessage":              nothing,
	"getMessageBody":          nothing,
	"getMessageTimeline":      nothing,
	"changeMessage":           {body: `{"available_at":"now"}`},
	"redriveMessage":          {places: map[string]string{"to": "queue"}, query: "to=$to"},
	"deleteMessage":           nothing,
	"receiveMessages":         {places: map[string]string{"ack": "receipt"}, body: `{"ack":["$ack"]}`},
	"consumeMessages":         {query: refused[1:]}, // it would go on
	"openSocket":              nothing,
	"tailMessages":            {query: refused[1:]},
	"ackMessage":              nothing,
	"changeReceipt":           {body: `{"visibility_timeout":0}`},
	"getGroupState":           nothing,
	"putGroupState":           {body: `"x"`},
	"deleteGroupState":        nothing,
	"ackMessages":             {places: map[string]string{"ack": "receipt", "return": "receipt", "extend": "receipt"}, body: `{"ack":["$ack"],"return":[{"receipt_handle":"$return"}],"extend":[{"receipt_handle":"$extend","visibility_timeout":5}]}`},
	"listSchedules":           {places: map[string]string{"prefix": "schedule"}, query: "prefix=$prefix"},
	"putSchedule":             {body: `{"every":3600,"message":{"body":"x"}}`},
	"getSchedule":             nothing,
	"deleteSchedule":          nothing,
	"pauseSchedule":           nothing,
	"resumeSchedule":          nothing,
	"runSchedule":             nothing,
	"listTopics":              {places: map[string]string{"prefix": "topic"}, query: "prefix=$prefix"},
	"getTopicHealth":          {places: map[string]string{"name": "topic"}, query: "topics=$name"},
	"putTopic":                {body: `{"message_retention":60}`},
	"getTopic":                nothing,
	"updateTopic":             {body: `{"labels":{"a":"b"}}`},
	"deleteTopic":             nothing,
	"publishMessage":          {places: map[string]string{"key": "text"}, body: "x", header: []string{"Idempotency-Key", "$key", "Content-Type", "text/plain"}},
	"publishMessages":         {places: map[string]string{"key": "text"}, body: `{"messages":[{"body":"x"}]}`, header: []string{"Idempotency-Key", "$key"}},
	"readTopicMessages":       nothing,
	"countFilter":             {body: `{"filter_policy":null}`},
	"getSchemas":              nothing,
	"addSchema":               {body: `{"schema":{"type":"string"}}`},
	"updateSchemas":           {body: `{"compatibility":"full"}`},
	"testSchema":              {body: `{"schema":{"type":"string"},"message":{"body":"x"}}`},
	"getSchema":               nothing,
	"deleteSchema":            nothing,
	"tailTopic":               {query: refused[1:]},
	"listTopicSchedules":      {places: map[string]string{"prefix": "schedule"}, query: "prefix=$prefix"},
	"putTopicSchedule":        {body: `{"every":3600,"message":{"body":"x"}}`},
	"getTopicSchedule":        nothing,
	"deleteTopicSchedule":     nothing,
	"pauseTopicSchedule":      nothing,
	"resumeTopicSchedule":     nothing,
	"runTopicSchedule":        nothing,
	"streamEvents":            {query: refused[1:]}, // it would go on
	"listSubscriptions":       {places: map[string]string{"prefix": "subscription"}, query: "prefix=$prefix"},
	"putSubscription":         {places: map[string]string{"to": "queue"}, body: `{"queue":"$to","filter_policy":{"never":["x"]}}`},
	"getSubscription":         nothing,
	"updateSubscription":      {places: map[string]string{"to": "queue"}, body: `{"queue":"$to","format":"envelope"}`},
	"deleteSubscription":      nothing,
	"pauseSubscription":       nothing,
	"resumeSubscription":      nothing,
	"replaySubscription":      {body: `{}`},
	"listTopicSubscriptions":  {places: map[string]string{"prefix": "topic subscription"}, query: "prefix=$prefix"},
	"putTopicSubscription":    {places: map[string]string{"to": "queue"}, body: `{"pattern":"none.*","queue":"$to"}`},
	"getTopicSubscription":    nothing,
	"updateTopicSubscription": {places: map[string]string{"to": "queue"}, body: `{"queue":"$to","format":"envelope"}`},
	"deleteTopicSubscription": nothing,
	"testSchedule":            {body: `{"every":60}`},
	"testFilter":              {places: map[string]string{"name": "topic"}, body: `{"topic":"$name","message":{"body":"x"}}`},
	"listAlarms":              {places: map[string]string{"prefix": "alarm"}, query: "prefix=$prefix"},
	"putAlarm":                {places: map[string]string{"queue": "queue"}, body: `{"metric":"available","target":{"queue":"$queue"}}`},
	"getAlarm":                nothing,
	"deleteAlarm":             nothing,
	"getAlarmHistory":         nothing,
	"muteAlarm":               {body: `{"for":60}`},
	"unmuteAlarm":             nothing,
	"addSuggestedAlarms":      {places: map[string]string{"topic": "topic"}, body: `{"topic":"$topic"}`},
	"listTasks":               {places: map[string]string{"queue": "queue"}, query: "queue=$queue"},
	"getTask":                 nothing,
	"listTaskErrors":          nothing,
	"cancelTask":              nothing,
	"listKeys":                nothing,
	"createKey":               {places: map[string]string{"queue": "queue"}, body: `{"queues":["$queue"]}`},
	"revokeKey":               nothing,
	"rotateKey":               nothing,

	"createPortalLink":       {body: `{"role":"viewer"}`},
	"createTenantPortalLink": {body: `{"role":"viewer"}`},
	"listPortalLinks":        nothing,
	"listTenantPortalLinks":  nothing,
	"revokePortalLink":       nothing,
	"revokeTenantPortalLink": nothing,

	"getUsage":       {places: map[string]string{"name": "queue"}, query: "by=queue&name=$name"},
	"getTenantUsage": nothing,

	"getSubscriptionSecret":         nothing,
	"rotateSubscriptionSecret":      {body: `{}`},
	"enableSubscription":            nothing,
	"disableSubscription":           nothing,
	"testSubscription":              nothing,
	"confirmSubscription":           nothing,
	"listDeliveries":                {places: map[string]string{"message": "message"}, query: "message_id=$message"},
	"resendDelivery":                nothing,
	"getDeliveryRequest":            nothing,
	"resendDeliveries":              {body: `{}`},
	"getTopicSubscriptionSecret":    nothing,
	"rotateTopicSubscriptionSecret": {body: `{}`},
	"listMatchingTopics":            nothing,
	"testDelivery":                  {body: `{"url":"https://example.com/"}`},
	"listAllDeliveries":             {places: map[string]string{"topic": "topic", "subscription": "subscription", "message": "message"}, query: "topic=$topic&subscription=$subscription&message_id=$message"},
	"resendMatchingDeliveries":      {places: map[string]string{"topic": "topic", "subscription": "subscription", "message": "message"}, body: `{"topic":"$topic","subscription":"$subscription","message_id":"$message"}`},

	"listAudit":           {places: map[string]string{"actor": "key", "target": "queue"}, query: "actor=$actor&target=$target"},
	"exportAudit":         {places: map[string]string{"actor": "key", "target": "queue"}, query: "actor=$actor&target=$target"},
	"listRequestLog":      {places: map[string]string{"actor": "key"}, query: "actor=$actor"},
	"exportRequestLog":    {places: map[string]string{"actor": "key"}, query: "actor=$actor"},
	"listOperatorAudit":   pages,
	"exportOperatorAudit": nothing,
	"listPlans":           pages,
	"putPlan":             nothing,
	"getPlan":             nothing,
	"deletePlan":          nothing,
	"getTenantHealth":     {query: "tenants=a"},
	"listTenants":         pages,
	"putTenant":           nothing,
	"getTenant":           nothing,
	"updateTenant":        nothing,
	"suspendTenant":       nothing,
	"resumeTenant":        nothing,
	"exportTenant":        nothing,
	"deleteTenant":        {places: map[string]string{"confirm": "tenant"}, query: "confirm=$confirm"},
	"createTenantKey":     nothing,
	"listTenantKeys":      nothing,
	"revokeTenantKey":     nothing,
	"rotateTenantKey":     nothing,
	"listOperatorKeys":    nothing,
	"createOperatorKey":   nothing,
	"revokeOperatorKey":   nothing,
	"rotateOperatorKey":   nothing,
	"listOperators":       nothing,
	"inviteOperator":      nothing,
	"inviteOperatorAgain": nothing,
	"updateOperator":      nothing,
	"removeOperator":      nothing,
}

// placesOf returns all places of an operation where an id can stand, with the kinds of the ids.
func placesOf(t *testing.T, r handlers.TestRoute) map[string]string {
	a, ok := attempts[r.Operation]
	if !ok {
		t.Fatalf("%s has no entry in the isolation matrix", r.Operation)
	}
	places := map[string]string{"Tenant": "tenant"}
	maps.Copy(places, a.places)
	parts := strings.Split(r.Path, "/")
	for i, p := range parts {
		name, ok := strings.CutPrefix(p, ":")
		if !ok {
			continue
		}
		kind := inPath[name]
		if name == "id" {
			kind = kindOfID[parts[i-1]]
		}
		if kind == "" {
			t.Fatalf("%s: what is %s?", r.Operation, p)
		}
		places[p] = kind
	}
	return places
}

// ids are a tenant's ids by kind.
type ids map[string]string

// stock fills a tenant with one of everything.
func (h *apiTest) stock(tn tenants.Tenant, queue, schedule string) (ids, []string) {
	h.Helper()
	k, err := h.keys.CreateTenantKey(h.Context(), tn.ID, auth.NewKey{Name: "the owner's"})
	h.must(err)
	me := as(k.Secret.Reveal())
	path := "/v1/queues/" + queue
	h.json("PUT", path, "", me...).is(201)
	var sent handlers.SentMessage
	for range 3 {
		h.do("POST", path+"/messages", "M4RKED", append(me, "Content-Type", "text/plain", "Idempotency-Key", queue)...).is(201).into(&sent)
		h.do("POST", path+"/messages", "M4RKED", append(me, "Content-Type", "text/plain")...).is(201)
	}
	var got handlers.Received
	h.do("POST", path+"/receive?visibility_timeout=43200", "", me...).is(200).into(&got)
	h.json("PUT", path+"/schedules/"+schedule, `{"every":86400,"message":{"body":"M4RKED"}}`, me...).is(201)
	topic, subscription := queue+"-topic", queue+"-subscription"
	h.json("PUT", "/v1/topics/"+topic, "", me...).is(201)
	h.json("PUT", "/v1/topics/"+topic+"/schedules/"+schedule, `{"every":86400,"message":{"body":"M4RKED"}}`, me...).is(201)
	h.json("PUT", "/v1/topics/"+topic+"/subscriptions/"+subscription, fmt.Sprintf(`{"queue":%q,"filter_policy":{"never":["x"]}}`, queue), me...).is(201)
	wild := queue + "-wild"
	h.json("PUT", "/v1/topic_subscriptions/"+wild, fmt.Sprintf(`{"pattern":"none.*","queue":%q}`, queue), me...).is(201)
	alarm := queue + "-alarm"
	h.json("PUT", "/v1/alarms/"+alarm, fmt.Sprintf(`{"metric":"available","target":{"queue":%q}}`, queue), me...).is(201)
	var task handlers.Task
	h.json("POST", path+"/purge", fmt.Sprintf(`{"confirm":%q,"older_than":86400}`, queue), me...).is(202).into(&task)
	var waiting handlers.MessagePage
	h.do("GET", path+"/messages?state=available", "", me...).is(200).into(&waiting)
	session := h.signIn(k.Secret.Reveal())
	var member handlers.InvitedMember
	h.json("POST", "/v1/members", `{"email":"ana@example.com","role":"viewer"}`, me...).is(201).into(&member)
	link := h.portalLink(`{"role":"viewer","expires_in":3600}`, me...)
	return ids{"portal link": link.ID, "session": session.ID, "member": member.ID, "operator": member.ID, "queue": queue, "message": waiting.Data[0].ID, "receipt": got.Messages[0].ReceiptHandle, "schedule": schedule, "task": task.ID,
		"key": k.ID, "operator key": k.ID, "tenant": tn.Name, "cursor": "cursor-of-another-list", "text": queue, "topic": topic, "subscription": subscription, "topic subscription": wild, "alarm": alarm,
		"delivery": "dlv_00000000000001"}, me
}

// absent returns ids that nobody has, as long as others.
func absent(like ids) ids {
	none := ids{}
	for kind, id := range like {
		switch prefix, rest, ok := strings.Cut(id, "_"); {
		case ok && kind != "receipt":
			none[kind] = prefix + "_" + strings.Repeat("0", len(rest))
		case kind == "receipt": // well formed, and signed by nobody
			none[kind] = id[:len(id)-4] + map[bool]string{true: "BBBB", false: "AAAA"}[strings.HasSuffix(id, "AAAA")]
		default:
			none[kind] = "z" + id[1:]
		}
	}
	return none
}

// try asks for an operation with these ids at its places.
func (h *apiTest) try(r handlers.TestRoute, at func(place string) string, me []string) *answer {
	h.Helper()
	a, tn := attempts[r.Operation], at("Tenant")
	path, fill := r.Path, func(s string) string { return s }
	var list []string
	for _, p := range slices.Sorted(maps.Keys(a.places)) {
		list = append(list, "$"+p, at(p))
	}
	if len(list) > 0 {
		fill = strings.NewReplacer(list...).Replace
	}
	for _, p := range regexp.MustCompile(`:\w+`).FindAllString(path, -1) {
		path = strings.Replace(path, p, at(p), 1)
	}
	if a.query != "" {
		path += "?" + fill(a.query)
	}
	headers := slices.Clone(me)
	if a.body != "" {
		headers = append(headers, "Content-Type", "application/json")
	}
	for _, s := range a.header {
		headers = append(headers, fill(s))
	}
	if tn != "" {
		headers = append(headers, "Tenant", tn)
	}
	return h.do(r.Method, path, fill(a.body), headers...)
}

var (
	// made are what each request makes anew.
	made = regexp.MustCompile(`(slk|slo|slp|sls|sli|lnk|ses|usr|msg|key|task|tok|evt|rh)_[0-9A-Za-z_-]{20,}|eyJ[0-9A-Za-z_.-]+|"(etag|request_id|arn|sequence_number)":"[^"]*"|"expires_at":"[^"]*"`)
	// hidden are headers that differ from request to request.
	hidden = []string{"Date", "Request-Id", "Etag", "Sluice-Seq"}
)

// told returns all that an answer tells, but for the ids that were asked about and what is made anew.
func told(a *answer, used ids) string {
	header := a.header.Clone()
	for _, name := range hidden {
		header.Del(name)
	}
	text := fmt.Sprint(a.status, header, string(a.body))
	for _, id := range slices.SortedFunc(maps.Values(used), func(a, b string) int { return len(b) - len(a) }) {
		text = strings.ReplaceAll(text, id, "ID")
	}
	return made.ReplaceAllString(text, "NEW")
}

// snapshot is all that a tenant has, as its owner sees it.
func (h *apiTest) snapshot(id ids, me []string) string {
	h.Helper()
	q := "/v1/queues/" + id["queue"]
	var b strings.Builder
	topic := "/v1/topics/" + id["topic"]
	for _, path := range []string{"/v1/topics", topic, topic + "/messages", topic + "/subscriptions", "/v1/topic_subscriptions", "/v1/queues", q, q + "/messages", q + "/schedules", topic + "/schedules", "/v1/alarms", "/v1/tasks", "/v1/keys", "/v1/members", "/v1/sessions", "/v1/portal_links", "/v1/whoami"} {
		fmt.Fprintf(&b, "%s %s\n", path, h.do("GET", path, "", me...).is(200).body)
	}
	tn := h.asOperator("GET", "/v1/tenants/"+id["tenant"], "").is(200)
	return b.String() + string(tn.body)
}

// Every operation, at every place where an id can stand: another tenant's id gets the answer that an id gets which nobody
// has, and that other tenant has afterwards what it had.
func TestG19_AnotherTenantsIDsAreIDsOfNobody(t *testing.T) {
	t.Parallel()
	// Of its own: where another test has the alarms of an installation looked at, those of these tenants are as well.
	h := newAPITest(t, onServer(redistest.Start(t, redistest.Options{})))
	their, owner := h.stock(h.newTenant(), "victims-queue", "victims-schedule")
	none := absent(their)
	own, me := h.stock(h.tenant, "q", "s")
	before := h.snapshot(their, owner)
	cases, leaks, statuses := 0, 0, map[int]int{}
	for _, r := range handlers.Routes() {
		places := placesOf(t, r)
		for _, place := range slices.Sorted(maps.Keys(places)) {
			ask := func(foreign ids) string {
				used := ids{"id": foreign[places[place]]}
				a := h.try(r, func(p string) string {
					switch {
					case p == place:
						return foreign[places[p]]
					case p == "Tenant":
						return ""
					case p == "confirm":
						return own["queue"] + "-not" // so that none of its own is emptied
					case places[p] == "receipt" && !strings.HasPrefix(p, ":"):
						return none["receipt"] // so that none of its own is used up
					}
					return own[places[p]]
				}, me)
				if strings.Contains(string(a.body), "M4RKED") && (!strings.Contains(r.Path, ":queue") || place == ":queue") {
					t.Errorf("%s with another's %s shows a body: %s", r.Operation, place, a.body)
				}
				if a.status == http.StatusForbidden && r.Needs == "tenant" {
					t.Errorf("%s with another's %s: 403 tells that there is something: %s", r.Operation, place, a.body)
				}
				statuses[a.status]++
				text := told(a, used)
				h.reset(own, me)
				return text
			}
			if got, want := ask(their), ask(none); got != want {
				leaks++
				t.Errorf("%s tells by its %s what another tenant has:\ntheirs:   %s\nnobody's: %s", r.Operation, place, got, want)
			}
			cases++
		}
		if after := h.snapshot(their, owner); after != before {
			t.Fatalf("%s changed another tenant (-before +after):\n%s\n%s", r.Operation, before, after)
		}
	}
	t.Logf("%d operations, %d places of ids, asked twice each: %v by status, leaks %d", len(handlers.Routes()), cases, statuses, leaks)
}

// reset removes what a tenant made by mistake, so that the next request finds what the one before did.
func (h *apiTest) reset(own ids, me []string) {
	h.Helper()
	var list handlers.Page[handlers.Queue]
	h.do("GET", "/v1/queues", "", me...).is(200).into(&list)
	for _, q := range list.Data {
		if q.Name != own["queue"] {
			h.do("DELETE", "/v1/queues/"+q.Name, "", me...).is(204)
		}
	}
	q := "/v1/queues/" + own["queue"]
	h.json("PUT", q, "", me...).is(200)
	var schedules handlers.Page[handlers.Schedule]
	h.do("GET", q+"/schedules", "", me...).is(200).into(&schedules)
	for _, s := range schedules.Data {
		if s.Name != own["schedule"] {
			h.do("DELETE", q+"/schedules/"+s.Name, "", me...).is(204)
		}
	}
	var topics handlers.Page[handlers.Topic]
	h.do("GET", "/v1/topics", "", me...).is(200).into(&topics)
	for _, tp := range topics.Data {
		if tp.Name != own["topic"] {
			h.do("DELETE", "/v1/topics/"+tp.Name, "", me...).is(204)
		}
	}
	topic := "/v1/topics/" + own["topic"]
	h.json("PUT", topic, "", me...)
	var subscriptions handlers.Page[handlers.Subscription]
	h.do("GET", topic+"/subscriptions", "", me...).is(200).into(&subscriptions)
	for _, s := range subscriptions.Data {
		if s.Name != own["subscription"] {
			h.do("DELETE", topic+"/subscriptions/"+s.Name, "", me...).is(204)
		}
	}
	var wilds handlers.Page[handlers.TopicSubscription]
	h.do("GET", "/v1/topic_subscriptions", "", me...).is(200).into(&wilds)
	for _, s := range wilds.Data {
		if s.Name != own["topic subscription"] {
			h.do("DELETE", "/v1/topic_subscriptions/"+s.Name, "", me...).is(202)
			h.must(h.topics.Sweep(h.Context(), h.tenant.ID))
		}
	}
	h.json("PUT", topic+"/subscriptions/"+own["subscription"], fmt.Sprintf(`{"queue":%q,"filter_policy":{"never":["x"]}}`, own["queue"]), me...)
	h.do("POST", topic+"/subscriptions/"+own["subscription"]+"/resume", "", me...).is(200)
	var sent handlers.MessagePage
	h.do("GET", q+"/messages?filter=body=x", "", me...).is(200).into(&sent)
	for _, m := range sent.Data {
		h.do("DELETE", q+"/messages/"+m.ID, "", me...).is(204)
	}
	var members handlers.Page[handlers.Member]
	h.do("GET", "/v1/members", "", me...).is(200).into(&members)
	for _, m := range members.Data {
		if m.ID != own["member"] {
			h.do("DELETE", "/v1/members/"+m.ID, "", me...).is(204)
		}
	}
	var keys handlers.Page[handlers.Key]
	h.do("GET", "/v1/keys", "", me...).is(200).into(&keys)
	for _, k := range keys.Data {
		if k.Name == "" {
			h.do("DELETE", "/v1/keys/"+k.ID, "", me...).is(204)
		}
	}
}

// Every operation with every credential that does not hold: it is refused, the answer does not tell which ids there are,
// and nothing changes.
func TestG19_WhoMayNotLearnsNothing(t *testing.T) {
	t.Parallel()
	h, stranger := newAPITest(t, onServer(redistest.Start(t, redistest.Options{}))), newAPITest(t, onMemory(t))
	victim := h.newTenant()
	their, owner := h.stock(victim, "victims-queue", "victims-schedule")
	none := absent(their)
	revoked, err := h.keys.CreateTenantKey(t.Context(), victim.ID, auth.NewKey{})
	h.must(err)
	h.must(h.keys.Revoke(t.Context(), victim.ID, revoked.ID))
	expired := h.keyFor(victim.ID, auth.NewKey{ExpiresAt: start.Add(time.Second)})
	rotated, err := h.keys.CreateTenantKey(t.Context(), victim.ID, auth.NewKey{})
	h.must(err)
	_, err = h.keys.Rotate(t.Context(), victim.ID, rotated.ID, auth.Rotation{Grace: time.Second})
	h.must(err)
	gone := h.newTenant()
	orphan := h.keyFor(gone.ID, auth.NewKey{})
	h.must(h.tenants.Delete(t.Context(), gone.Name, tenants.Condition{}))
	suspended := h.newTenant()
	_, err = h.tenants.Suspend(t.Context(), suspended.Name, tenants.ModeAll, "", tenants.Condition{})
	h.must(err)
	whole := h.keyFor(victim.ID, auth.NewKey{})
	good := h.token(`{}`, whole...)
	ended := h.token(`{"expires_in":60}`, whole...)
	brief, err := h.keys.CreateTenantKey(t.Context(), victim.ID, auth.NewKey{})
	h.must(err)
	ofRevoked := h.token(`{}`, as(brief.Secret.Reveal())...)
	h.must(h.keys.Revoke(t.Context(), victim.ID, brief.ID))
	left := h.signIn(h.newKey(victim.ID))
	h.do("DELETE", "/v1/session", "", left.headers()...).is(204)
	of, err := h.keys.CreateTenantKey(t.Context(), victim.ID, auth.NewKey{})
	h.must(err)
	orphaned := h.signIn(of.Secret.Reveal())
	h.must(h.keys.Revoke(t.Context(), victim.ID, of.ID))
	signedIn := h.signIn(h.newKey(victim.ID))
	parts := strings.Split(good.AccessToken, ".")
	rewritten := func(part int, old, other string) []string {
		raw, err := base64.RawURLEncoding.DecodeString(parts[part])
		h.must(err)
		if !strings.Contains(string(raw), old) {
			t.Fatalf("%s is not in %s", old, raw)
		}
		text := slices.Clone(parts)
		text[part] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), old, other, 1)))
		return as(strings.Join(text, "."))
	}
	h.clock.Advance(time.Minute)
	type credential struct {
		headers []string
		status  int // 0: it depends on the operation
		code    string
	}
	credentials := map[string]credential{
		"no key":           {[]string{"Authorization", ""}, 401, "unauthenticated"},
		"an unknown key":   {as(stranger.key), 401, "unauthenticated"},
		"an unknown slo_":  {as(stranger.operator), 401, "unauthenticated"},
		"a revoked key":    {as(revoked.Secret.Reveal()), 401, "unauthenticated"},
		"an expired key":   {expired, 401, "key_expired"},
		"a rotated key":    {as(rotated.Secret.Reveal()), 401, "key_expired"},
		"a deleted tenant": {orphan, 401, "unauthenticated"},
		"from elsewhere":   {h.keyFor(victim.ID, auth.NewKey{AllowedIPs: []string{"192.0.2.1"}}), 403, "ip_not_allowed"},
		"no scope":         {h.keyFor(h.newTenant().ID, auth.NewKey{Scopes: []string{"keys:read"}}), 0, ""},
		"no queue":         {h.keyFor(victim.ID, auth.NewKey{Queues: []string{"of-nobody"}}), 0, ""},
		"suspended":        {h.keyFor(suspended.ID, auth.NewKey{}), 0, ""},
		"an operator":      {h.operatorFor("operator_keys:read"), 0, ""},

		"an expired token":                  {as(ended.AccessToken), 401, "token_expired"},
		"a token of a revoked key":          {as(ofRevoked.AccessToken), 401, "unauthenticated"},
		"a token of another installation":   {as(stranger.token(`{}`).AccessToken), 401, "unauthenticated"},
		"a token from elsewhere":            {as(h.token(`{"allowed_ips":["192.0.2.1"]}`, whole...).AccessToken), 403, "ip_not_allowed"},
		"a token with another scope":        {as(h.token(`{"scopes":["keys:read"]}`, h.keyFor(h.newTenant().ID, auth.NewKey{})...).AccessToken), 0, ""},
		"a token for no queue":              {as(h.token(`{"queues":["of-nobody"]}`, whole...).AccessToken), 0, ""},
		"a token of an operator":            {as(h.token(`{"scopes":["operator_keys:read"]}`, as(h.operator)...).AccessToken), 0, ""},
		"a token, alg none":                 {rewritten(0, `"EdDSA"`, `"none"`), 401, "unauthenticated"},
		"a token, HS256 by the public key":  {as(h.confused(parts[1])), 401, "unauthenticated"},
		"a token, another audience":         {rewritten(1, `"aud":["urn`, `"aud":["URN`), 401, "unauthenticated"},
		"a token, another key's":            {rewritten(1, good.KeyID, revoked.ID), 401, "unauthenticated"},
		"a session that has ended":          {left.headers(), 401, "session_ended"},
		"a session of a revoked key":        {orphaned.headers(), 401, "session_ended"},
		"a session of another installation": {stranger.signIn(stranger.key).headers(), 401, "session_ended"},
		"a session that is no session":      {[]string{"Authorization", "", "Cookie", signedIn.cookie.Name + "=x"}, 401, "session_ended"},
		"a session by another page":         {signedIn.headers("Sec-Fetch-Site", "same-site"), 403, "cross_origin"},
		"a session as a key":                {as(signedIn.cookie.Value), 401, "unauthenticated"},
		"a session with another scope":      {h.signIn(strings.TrimPrefix(h.keyFor(h.newTenant().ID, auth.NewKey{Scopes: []string{"keys:read"}})[1], "Bearer ")).headers(), 0, ""},
		"a token, another tenant's":         {rewritten(1, victim.ID.String(), h.tenant.ID.String()), 401, "unauthenticated"},
	}
	before := h.snapshot(their, owner)
	cases, leaks := 0, 0
	for _, r := range handlers.Routes() {
		places := placesOf(t, r)
		for _, name := range slices.Sorted(maps.Keys(credentials)) {
			c := credentials[name]
			ask := func(foreign ids) *answer {
				return h.try(r, func(p string) string {
					if p == "Tenant" && !strings.HasSuffix(name, "an operator") {
						return ""
					}
					return foreign[places[p]]
				}, c.headers)
			}
			theirs, nobodys := ask(their), ask(none)
			cases++
			// The victim's own key may know its tasks and keys, and an operator which tenants there are.
			knows := strings.HasSuffix(name, "no queue") && !strings.Contains(r.Path, ":queue") ||
				strings.HasSuffix(name, "an operator") && r.Needs == "key" ||
				strings.HasPrefix(name, "a session") && r.Operation == "endSession" // its own
			if got, want := told(theirs, their), told(nobodys, none); got != want && !knows {
				leaks++
				t.Errorf("%s with %s tells which ids there are:\ntheirs:   %s\nnobody's: %s", r.Operation, name, got, want)
			}
			var p handlers.Problem
			_ = json.Unmarshal(theirs.body, &p)
			if r.Needs != "public" && c.status != 0 && (theirs.status != c.status || p.Code != c.code) {
				t.Errorf("%s with %s: %d %s, want %d %s", r.Operation, name, theirs.status, p.Code, c.status, c.code)
			}
			if strings.Contains(string(theirs.body), "M4RKED") {
				t.Errorf("%s with %s shows a body: %s", r.Operation, name, theirs.body)
			}
		}
		if after := h.snapshot(their, owner); dropKeys(after) != dropKeys(before) {
			t.Fatalf("%s changed the tenant (-before +after):\n%s\n%s", r.Operation, before, after)
		}
	}
	t.Logf("%d operations, %d credentials that do not hold, %d pairs of requests, leaks %d", len(handlers.Routes()), len(credentials), cases, leaks)
}

// dropKeys leaves the keys out of a snapshot: one that is limited to a queue of nobody's may make others like itself.
func dropKeys(snapshot string) string {
	return regexp.MustCompile(`(?m)^/v1/(keys|sessions|portal_links) .*\n`).ReplaceAllString(snapshot, "")
}
