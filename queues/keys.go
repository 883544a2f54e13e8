package queues

import (
	"embed"
	"strconv"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

//go:embed lua
var files embed.FS

// The scripts, named like their files in lua/. docs/redis.md says what the keys hold.
var (
	sendScript       = engine.MustLoad(files, "send")
	receiveScript    = engine.MustLoad(files, "receive")
	settleScript     = engine.MustLoad(files, "settle")
	outboxScript     = engine.MustLoad(files, "outbox")
	deliverScript    = engine.MustLoad(files, "deliver")
	acceptScript     = engine.MustLoad(files, "accept")
	restoreScript    = engine.MustLoad(files, "restore")
	departScript     = engine.MustLoad(files, "depart")
	deleteScript     = engine.MustLoad(files, "delete")
	delayScript      = engine.MustLoad(files, "delay")
	peekScript       = engine.MustLoad(files, "peek")
	tailScript       = engine.MustLoad(files, "tail")
	messageScript    = engine.MustLoad(files, "message")
	statsScript      = engine.MustLoad(files, "stats")
	passScript       = engine.MustLoad(files, "pass")
	pausedScript     = engine.MustLoad(files, "paused")
	waitScript       = engine.MustLoad(files, "wait")
	waitsScript      = engine.MustLoad(files, "waits")
	purgeScript      = engine.MustLoad(files, "purge")
	stateReadScript  = engine.MustLoad(files, "state_read")
	statePutScript   = engine.MustLoad(files, "state_put")
	stateDropScript  = engine.MustLoad(files, "state_drop")
	quitScript       = engine.MustLoad(files, "quit")
	initScript       = engine.MustLoad(files, "init")
	settingsScript   = engine.MustLoad(files, "settings")
	configureScript  = engine.MustLoad(files, "configure")
	followScript     = engine.MustLoad(files, "follow")
	retireScript     = engine.MustLoad(files, "retire")
	eraseScript      = engine.MustLoad(files, "erase")
	seriesDropScript = engine.MustLoad(files, "series_drop")
	registerScript   = engine.MustLoad(files, "register")
	confirmScript    = engine.MustLoad(files, "confirm")
	unregisterScript = engine.MustLoad(files, "unregister")
	giveUpScript     = engine.MustLoad(files, "give_up")
	forgetScript     = engine.MustLoad(files, "forget")
	lookupScript     = engine.MustLoad(files, "lookup")
	listScript       = engine.MustLoad(files, "list")
	unfinishedScript = engine.MustLoad(files, "unfinished")
	countScript      = engine.MustLoad(files, "count")
	grantScript      = engine.MustLoad(files, "grant")
	holdingScript    = engine.MustLoad(files, "holding")
	checkScript      = engine.MustLoad(files, "check")
	fieldsScript     = engine.MustLoad(files, "fields")
	timelineScript   = engine.MustLoad(files, "timeline")
	livesMakeScript  = engine.MustLoad(files, "lives_make")
	livesDropScript  = engine.MustLoad(files, "lives_drop")

	scheduleReadScript  = engine.MustLoad(files, "schedule_read")
	scheduleNamesScript = engine.MustLoad(files, "schedule_names")
	schedulePutScript   = engine.MustLoad(files, "schedule_put")
	scheduleSaveScript  = engine.MustLoad(files, "schedule_save")
	scheduleDropScript  = engine.MustLoad(files, "schedule_drop")
	scheduleIndexScript = engine.MustLoad(files, "schedule_index")
	scheduleDueScript   = engine.MustLoad(files, "schedule_due")
)

// parts are the keys of a queue in the order in which every script declares them; see lua/lib/queue.lua.
var parts = [...]string{"h", "b", "r", "a", "x", "f", "d", "s", "i", "j", "m", "o", "t", "e", "g"}

// queueKeys returns the keys of the queue with the given uid.
func queueKeys(t tenants.ID, uid string) []string {
	keys := make([]string, len(parts))
	for i, p := range parts {
		keys[i] = engine.Key(t.String(), uid, p)
	}
	return keys
}

// The registry of a tenant's queues; see Registry.
const (
	registryPart = "queues"
	namesPart    = "names"
)

func tenantKey(t tenants.ID) string { return engine.TenantKey(t.String(), "tenant") }

// schedulesKey is the key of a queue's schedules: one of the queue's slot, and none of its parts, because most queues have
// no schedules.
func schedulesKey(t tenants.ID, uid string) string { return engine.Key(t.String(), uid, "schedules") }

// timelineKeys are the keys in which a queue keeps timelines, in the order in which its scripts declare them behind its parts.
// They are none of those, because most queues keep none.
func timelineKeys(t tenants.ID, uid string) []string {
	return []string{engine.Key(t.String(), uid, "l"), engine.Key(t.String(), uid, "n")}
}

// scheduleIndexKey is the key that says which schedules of all tenants, of owners of one kind, are due when.
func scheduleIndexKey(part string) string { return engine.SystemKey(part) }

// SeriesKey is the key of what package monitor remembers of a queue: one of the queue's slot, which is removed with it, and
// none of its parts, because no call of the queue's looks at it.
func SeriesKey(t tenants.ID, uid string) string { return engine.Key(t.String(), uid, "series") }

// HeadKey is the key of a queue's head, for those who add something in the queue's slot: the queue is there while its field
// "v" is there and not "x".
func HeadKey(t tenants.ID, uid string) string { return engine.Key(t.String(), uid, parts[0]) }

// lane is one line of calls to a queue's scripts: one is under way at a time, and each has the next number. The queue
// remembers each lane's last answer, so that a call whose answer was lost can be sent again, and one that was given up
// on and arrives late is refused. The numbers are those of the whole server: a queue that it forgot and meets again has
// the same lanes, which must not begin anew.
type lane struct {
	field string
	seq   int64
	lines func() string // who makes the call, see caller.line; nil: whom the context names
}

func newLane(session uint32, n int) *lane {
	return &lane{field: "L" + strconv.FormatUint(uint64(session), 10) + "." + strconv.Itoa(n)}
}
