package queues

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Report is what Check found in a queue's keys.
type Report struct {
	// Violations are sentences, each of which tells of one thing that must never be. None: the queue is healthy.
	Violations []string
	// Used says that the queue was used during the check. Then what it found may be no violation at all: it looked at
	// one key before and at another one after a change. Check again while the queue is quiet.
	Used bool

	// A recount of what Stats says, by the queue clock. Retention plays no part in it: a message that it has ended
	// counts until something tidies it away, as Stats does.
	Available, InFlight, Delayed int64
	Tombstones                   int64     // entries of deleted messages in the list
	Now                          time.Time // by the queue clock
	Changed                      time.Time // the last change, at which the queue clock cannot be earlier; zero: none yet
}

const (
	// checkTries is how often a check begins anew because the queue was used.
	checkTries = 3
	// maxViolations bounds a report. One damaged key can break the rule for each message.
	maxViolations = 100
	// fence is how many delivery numbers a lease can tell apart; see lua/lib/queue.lua.
	fence = 4096
	// clockTolerance is by how much the clocks of Redis and of a server may differ; see lua/lib/clock.lua.
	clockTolerance = 30 * time.Second
)

// Check reads all of a queue's keys, a hundred entries at a time, and holds the invariants against them: every message
// is in exactly one place, every id has its record and every record its id, the counters equal a recount, who holds
// what is told by a lease and its fence alone, and the queue clock is not ahead. It changes nothing.
//
// It is only meaningful while nobody uses the queue; see Report.Used.
func (s *Store) Check(ctx context.Context, t tenants.ID, queue string) (Report, error) {
	var r Report
	err := s.with(ctx, t, queue, func(d *desk) error {
		r = Report{}
		for _, shard := range d.all() {
			one, err := shard.check(ctx)
			if err != nil {
				return err
			}
			if d.shards != nil {
				for i := range one.Violations {
					one.Violations[i] = fmt.Sprintf("Shard %d: %s", shard.index, one.Violations[i])
				}
			}
			r.add(one)
		}
		return nil
	})
	return r, err
}

// add adds what was found in another shard.
func (r *Report) add(o Report) {
	r.Violations = append(r.Violations, o.Violations...)
	r.Used = r.Used || o.Used
	r.Available += o.Available
	r.InFlight += o.InFlight
	r.Delayed += o.Delayed
	r.Tombstones += o.Tombstones
	if o.Now.After(r.Now) {
		r.Now = o.Now
	}
	if o.Changed.After(r.Changed) {
		r.Changed = o.Changed
	}
}

// check looks at the keys of one shard.
func (d *desk) check(ctx context.Context) (Report, error) {
	for try := 1; ; try++ {
		c := checker{desk: d, places: map[string]place{}, sides: map[string]side{}, age: map[string]string{},
			heads: map[string]string{}, turns: map[string]string{}, members: map[string]bool{}}
		used, err := c.read(ctx)
		if err != nil {
			return Report{}, err
		}
		if used && try < checkTries {
			continue
		}
		if err := c.judge(ctx); err != nil {
			return Report{}, err
		}
		c.report.Used = used
		return c.report, nil
	}
}

// checker is one reading of a queue's keys.
type checker struct {
	desk   *desk
	report Report
	more   int // violations that are not in the report

	places map[string]place // of all ids but those of tombstones
	bodies int64            // how many of `places` have a record
	sides  map[string]side  // of ids of `places`
	age    map[string]string
	dedup  int64     // entries of `order` that `dedup` has
	ends   []string  // ids of `expiry`
	entry  [10]int64 // entries that were read, in the order of walk

	heads   map[string]string // group to the id of its first message
	turns   map[string]string // group to its score
	members map[string]bool   // ids of `members`

	redis, clock  int64 // the time of Redis and the queue clock, ms
	tomb, largest int64
	in, del, exp  int64
	dropped       int64
	stored, bytes int64 // bytes of all records, as the head says and as they were met
	next, again   int64 // what the head says: nothing becomes available by itself before next; 0: nothing is in `again`
	dead, moved   int64 // left for another queue
	moving        int64 // are on their way there
	states, held  int64 // bytes of the states of groups, as the head says and as they were met
	stateful      int64 // groups with a state
	sizes         [14]int64
	lives         *lives // nil: the queue keeps no timelines
	fifo          bool
	lacking       string
}

// lives is what was read of timelines.
type lives struct {
	kept, steps int64             // entries of the two keys
	stored      int64             // bytes, as the sentinel says
	bytes       int64             // as they were met
	last        map[string]string // ids of messages that are gone, of which no step says how, to the time of the last step
	purged      string            // when the queue was purged last, or ""
}

// place is where a message is.
type place struct {
	part   byte // r, a, f, d or m
	stored bool // it has a record
	score  string
}

// walk is the order in which check.lua shows the keys.
const walk = "raxfdmojen"

var placeNames = map[string]string{"r": "ready", "a": "again", "x": "age", "f": "flight", "d": "delayed", "m": "members", "o": "groups", "j": "order", "e": "expiry",
	"b": "body", "s": "side", "i": "dedup", "t": "transfers", "g": "states", "l": "lives", "n": "steps"}

// read walks through the keys and reports whether anything changed meanwhile.
func (c *checker) read(ctx context.Context) (bool, error) {
	part, index, first := walk[:1], "0", ""
	for {
		reply, err := c.desk.alone(ctx, checkScript, func(*config) []any { return []any{part, index} })
		if err != nil {
			return false, err
		}
		if len(reply) < 9 {
			return false, unexpected(reply)
		}
		now := fmt.Sprint(reply[5:9])
		if first == "" {
			first = now
			c.head(reply)
		}
		for i := 9; i+5 < len(reply); i += 6 {
			c.take(engine.Text(reply, i), engine.Text(reply, i+1), engine.Text(reply, i+2), engine.Number(reply, i+3), engine.Text(reply, i+4), engine.Number(reply, i+5))
		}
		if now != first {
			return true, nil
		}
		if part, index = engine.Text(reply, 2), engine.Text(reply, 3); part == "" {
			return false, nil
		}
	}
}

func (c *checker) head(reply []any) {
	c.report.Now = at(engine.Number(reply, 1))
	c.redis, c.clock = engine.Number(reply, 4), engine.Number(reply, 5)
	if c.clock > 0 {
		c.report.Changed = at(c.clock)
	}
	list := func(i int) []any {
		var out []any
		for _, f := range strings.Fields(engine.Text(reply, i)) {
			out = append(out, f)
		}
		return out
	}
	counters, sizes := list(6), list(7)
	c.tomb, c.largest, c.in = engine.Number(counters, 0), engine.Number(counters, 1), engine.Number(counters, 2)
	c.del, c.exp = engine.Number(counters, 4), engine.Number(counters, 5)
	c.next, c.again = engine.Number(counters, 6), engine.Number(counters, 7)
	c.dead, c.moved, c.moving = engine.Number(counters, 8), engine.Number(counters, 9), engine.Number(counters, 10)
	c.stored, c.dropped = engine.Number(counters, 11), engine.Number(counters, 12)
	c.states, c.fifo = engine.Number(counters, 13), engine.Number(counters, 14) == 1
	for i := range c.sizes {
		c.sizes[i] = engine.Number(sizes, i)
	}
	if len(sizes) > len(c.sizes) {
		c.lives = &lives{kept: engine.Number(sizes, 14), steps: engine.Number(sizes, 15), stored: engine.Number(sizes, 16), last: map[string]string{}}
	}
	c.lacking = engine.Text(reply, 8)
}

// wrong adds a violation.
func (c *checker) wrong(format string, args ...any) {
	if len(c.report.Violations) == maxViolations {
		c.more++
		return
	}
	c.report.Violations = append(c.report.Violations, fmt.Sprintf(format, args...))
}

// name writes an id as people see it.
func name(id string) string {
	if len(id) != engine.IDSize {
		return fmt.Sprintf("%q, which is no id,", id)
	}
	return engine.ID([]byte(id)).String()
}

// take looks at one entry of a key. waits: until when it waits for its back-off after a lease that has ended, ms.
func (c *checker) take(part, member, score string, size int64, sideRecord string, waits int64) {
	id := member
	index := c.entry[strings.Index(walk, part)]
	c.entry[strings.Index(walk, part)]++
	if id == "" {
		if (part == "r" || part == "j") && index != 0 {
			c.wrong("The list %s has a sentinel at index %d.", placeNames[part], index)
		}
		return
	}
	switch part {
	case "n":
		c.takeLife(member, score, size, sideRecord, waits == 1)
		return
	case "j":
		c.dedup += size
		return
	case "x":
		c.age[id] = score
		return
	case "o":
		c.turns[id] = score
		return
	case "e":
		if len(member) == groupSize {
			c.stateful, c.held = c.stateful+1, c.held+size
			return
		}
		c.ends = append(c.ends, member[:min(len(member), engine.IDSize)])
		return
	case "m":
		if id = c.takeMember(member); id == "" {
			return
		}
	case "f", "d":
		id = member[:min(len(member), engine.IDSize)]
	case "r":
		if size == 0 {
			c.report.Tombstones++
			return
		}
	}
	if other, ok := c.places[id]; ok {
		c.wrong("Message %s is in %s and in %s.", name(id), placeNames[string(other.part)], placeNames[part])
	} else if size > 0 {
		c.bodies++
		c.bytes += size
	}
	c.places[id] = place{part[0], size > 0, score}
	if size == 0 {
		c.wrong("Message %s is in %s and has no record.", name(id), placeNames[part])
	}
	if size > c.largest {
		c.wrong("Message %s has a record of %d bytes; the head says that none has over %d.", name(id), size, c.largest)
	}
	c.takeSide(part, id, sideRecord)
	at, _ := strconv.ParseInt(score, 10, 64)
	c.count(part, id, at, waits)
}

// takeMember looks at an entry of `members`, and returns its id, or "" when the message was met elsewhere, as those of a
// FIFO queue that are held or delayed.
func (c *checker) takeMember(entry string) string {
	if len(entry) != groupSize+placeSize+engine.IDSize {
		c.wrong("An entry of members has %d bytes.", len(entry))
		return ""
	}
	id, group := entry[groupSize+placeSize:], entry[:groupSize]
	if _, ok := c.heads[group]; !ok {
		c.heads[group] = id
	}
	c.members[id] = true
	if other, ok := c.places[id]; ok && c.fifo && (other.part == 'f' || other.part == 'd') {
		return ""
	}
	return id
}

// judgeGroups checks that `groups` has just the groups of `members`, and the turn of each: in a FIFO queue that of its
// first message. `age` has those whose first message nobody holds.
func (c *checker) judgeGroups() {
	for group, score := range c.turns {
		if _, ok := c.heads[group]; !ok {
			c.wrong("Group %x has a turn at %s and no messages.", group, score)
		}
	}
	for group, head := range c.heads {
		first := c.places[head]
		turn, ok := c.turns[group]
		if !ok {
			c.wrong("Group %x has messages and no turn.", group)
			continue
		}
		n, _ := strconv.ParseInt(turn, 10, 64)
		_, aged := c.age[group]
		switch first.part {
		case 'f':
			ok = turn == first.score && !aged
		case 'd':
			due, _ := strconv.ParseInt(first.score, 10, 64)
			ok = leaseEnd(n).Equal(at(due)) && !aged
		default:
			ok = !leaseEnd(n).After(c.report.Now) && aged
		}
		if !ok {
			c.wrong("Group %x has its turn at %s, in age: %t; its first message %s is in %s by %s.",
				group, leaseEnd(n), aged, name(head), placeNames[string(first.part)], first.score)
		}
	}
	if !c.fifo {
		return
	}
	for id, where := range c.places {
		if !c.members[id] {
			c.wrong("Message %s of a FIFO queue is in %s and not in members.", name(id), placeNames[string(where.part)])
		}
	}
}

// takeSide looks at what is kept of a message's earlier deliveries.
func (c *checker) takeSide(part, id, record string) {
	if record == "" {
		return
	}
	s, err := parseSide(record)
	if err != nil {
		c.wrong("The side record of message %s cannot be read: %q.", name(id), record)
		return
	}
	c.sides[id] = s
	switch {
	case part == "r":
		c.wrong("Message %s is new and has a side record, %q.", name(id), record)
	case s.receives > int(s.deliveries), s.failures > s.receives:
		c.wrong("Message %s was delivered %d times, received %d times and failed %d times.", name(id), s.deliveries, s.receives, s.failures)
	case s.receives > 0 && s.first.IsZero(), s.receives == 0 && !s.first.IsZero() && part != "f":
		c.wrong("Message %s was received %d times, for the first time at %q.", name(id), s.receives, record)
	}
}

// takeLife looks at what is kept of what became of a message: whose last step was the letter, and which is here or not.
func (c *checker) takeLife(id, at string, size int64, letter string, here bool) {
	c.lives.bytes += size + timelineEntry
	ended := letter != "" && strings.Contains(lastSteps, letter)
	switch {
	case size == 0:
		c.wrong("Message %s has a step at %s, of which nothing is kept.", name(id), at)
	case len(id) != engine.IDSize:
		c.lives.purged = at
	case here && ended:
		c.wrong("Message %s is here; the last step of its timeline is %s.", name(id), events[letter[0]])
	case !here && !ended:
		c.lives.last[id] = at
	}
}

// judgeLives checks that timelines say what is.
func (c *checker) judgeLives() {
	l := c.lives
	if l == nil {
		return
	}
	if l.kept != l.steps {
		c.wrong("There are %d timelines, and %d times of last steps.", l.kept-1, l.steps-1)
	}
	if l.bytes != l.stored {
		c.wrong("The timelines have %d bytes; the sentinel says %d.", l.bytes, l.stored)
	}
	for id, at := range l.last {
		if compareNumbers(l.purged, at) < 0 {
			c.wrong("Message %s is not here; its timeline of which the last step was at %s does not say why.", name(id), at)
		}
	}
}

// count puts a message where Stats counts it.
func (c *checker) count(part, id string, score, waits int64) {
	now := c.report.Now
	switch part {
	case "f":
		if want := (int64(c.sides[id].deliveries) + 1) % fence; score%fence != want {
			c.wrong("The lease of message %s has the fence %d; after %d deliveries it must be %d.", name(id), score%fence, c.sides[id].deliveries, want)
		}
		if score < fence {
			c.wrong("Message %s is in flight and has no deadline.", name(id))
		}
		c.countDue(id, leaseEnd(score))
		if leaseEnd(score).After(now) {
			c.report.InFlight++
			return
		}
		if at(waits).After(now) {
			c.report.Delayed++
			return
		}
	case "a":
		if c.again == 0 {
			c.wrong("Message %s is in again; the head says that there is none.", name(id))
		}
	case "d":
		c.countDue(id, at(score))
		if at(score).After(now) {
			c.report.Delayed++
			return
		}
	}
	c.report.Available++
}

// countDue checks that the head does not promise that nothing is due before a message is.
func (c *checker) countDue(id string, due time.Time) {
	if at(c.next).After(due) {
		c.wrong("Message %s becomes available at %s; the head says that nothing does before %s.", name(id), due, at(c.next))
	}
}

// judge holds together what was read.
func (c *checker) judge(ctx context.Context) error {
	for _, letter := range c.lacking {
		c.wrong("The key %s lacks its sentinel.", placeNames[string(letter)])
	}
	for i, letter := range walk {
		if letter == 'n' {
			break // those it has where the queue keeps timelines
		}
		size := c.sizes[strings.IndexRune("braxfdsijmoteg", letter)]
		if c.entry[i] != size {
			c.wrong("The key %s has %d entries, of which %d were found.", placeNames[string(letter)], size, c.entry[i])
		}
	}
	if c.tomb != c.report.Tombstones {
		c.wrong("The list has %d entries without a record; the head counts %d.", c.report.Tombstones, c.tomb)
	}
	stored := c.sizes[0] - 1
	if c.in-c.del-c.exp-c.dead-c.moved-c.dropped != stored {
		c.wrong("%d messages are stored; the head counts %d sent, %d deleted, %d expired, %d dead, %d moved and %d dropped.", stored, c.in, c.del, c.exp, c.dead, c.moved, c.dropped)
	}
	if c.stored != c.bytes && stored == c.bodies {
		c.wrong("The records have %d bytes; the head counts %d.", c.bytes, c.stored)
	}
	if n := c.sizes[11] - 1; c.moving != n {
		c.wrong("%d messages are on their way to another queue; the head counts %d.", n, c.moving)
	}
	if n := c.sizes[13] - 1; c.stateful != n {
		c.wrong("%d groups have a state, of which expiry has %d.", n, c.stateful)
	} else if c.states != c.held {
		c.wrong("The states of groups have %d bytes; the head counts %d.", c.held, c.states)
	}
	c.judgeLives()
	c.judgeAge()
	for id := range c.places {
		if len(id) != engine.IDSize {
			continue
		}
		if shard := c.desk.first().of(engine.ID([]byte(id))); shard != c.desk {
			c.wrong("Message %s is looked for in shard %d.", name(id), shard.index)
		}
	}
	for _, id := range c.ends {
		if !c.places[id].stored {
			c.wrong("Message %s has an end in expiry and is not stored.", name(id))
		}
	}
	c.judgeGroups()
	if err := c.orphans(ctx, "b", stored-c.bodies, func(id string) bool { return c.places[id].stored }); err != nil {
		return err
	}
	known := func(id string) bool { _, ok := c.sides[id]; return ok }
	if err := c.orphans(ctx, "s", c.sizes[6]-1-int64(len(c.sides)), known); err != nil {
		return err
	}
	if n := c.sizes[7] - 1 - c.dedup; n != 0 {
		c.wrong("%d idempotency keys are remembered, of which the order of forgetting has %d.", c.sizes[7]-1, c.dedup)
	}
	latest := max(c.redis, c.desk.store.clock.Now().UnixMilli())
	if ahead := time.Duration(c.clock-latest) * time.Millisecond; ahead > clockTolerance {
		c.wrong("The queue clock is %s ahead of all others: until they have caught up nothing becomes due.", ahead)
	}
	if c.more > 0 {
		c.report.Violations = append(c.report.Violations, fmt.Sprintf("There are %d more.", c.more))
	}
	return nil
}

// judgeAge checks that `age` has the messages of `again`, each by the time at which it was made.
func (c *checker) judgeAge() {
	for id, score := range c.age {
		if len(id) == groupSize {
			if _, ok := c.heads[id]; !ok {
				c.wrong("Group %x is in age and has no messages.", id)
			}
			continue
		}
		if c.places[id].part != 'a' {
			c.wrong("Message %s is in age and not in again.", name(id))
		}
		if len(id) == engine.IDSize {
			if want := engine.ID([]byte(id)).Time().UnixMilli(); score != strconv.FormatInt(want, 10) {
				c.wrong("Message %s is in age by %s; it was made at %d.", name(id), score, want)
			}
		}
	}
	for id, where := range c.places {
		if _, ok := c.age[id]; !ok && where.part == 'a' {
			c.wrong("Message %s is in again and not in age.", name(id))
		}
	}
}

// orphans names what a hash has beyond what the indexes led to. It looks only when the numbers say that there is any.
func (c *checker) orphans(ctx context.Context, part string, n int64, known func(id string) bool) error {
	if n == 0 {
		return nil
	}
	found := map[string]bool{}
	for cursor := "0"; ; {
		reply, err := c.desk.alone(ctx, fieldsScript, func(*config) []any { return []any{part, cursor} })
		if err != nil {
			return err
		}
		for i := 2; i < len(reply); i++ {
			if id := engine.Text(reply, i); !known(id) && !found[id] {
				found[id] = true
				c.wrong("Message %s is in %s and in no index.", name(id), placeNames[part])
			}
		}
		if cursor = engine.Text(reply, 1); cursor == "0" || cursor == "" {
			break
		}
	}
	if int64(len(found)) != n {
		c.wrong("The key %s has %d entries beyond those of the indexes; %d were found.", placeNames[part], n, len(found))
	}
	return nil
}
