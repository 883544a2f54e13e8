// Package tasks carries long work of tenants out in small steps, on whichever server has room, and keeps a record of it.
//
// A Store holds the tasks, a Runner works on them. Packages of the domain register a Kind for each type of task; its
// step does at most a hundred items and says where to go on. A server has a lease on a task that it works on. The lease
// has a fence, a number that grows with each claim, and every save carries it: a server that was paused for longer than
// its lease and wakes up late changes nothing any more.
//
// A tenant's tasks lie in its own slot, and when to look at those that have not ended in that of the installation, so
// that finding work costs one call, however many tenants there are:
//
//	sl:<id>:{<id>}:tasks        HASH of task id to JSON, the newest 1,000
//	sl:<id>:{<id>}:task-runs    HASH of unfinished task id to who works on it; see lua/lib/control.lua
//	sl:<id>:{<id>}:task-errors  HASH of "<task id>:<part>" to errors of single items
//	sl:-:{sys}:tasks            ZSET of "<type> <tenant> <task id>" by when to look at it
//
// Tasks of the installation, such as the deletion of a tenant, lie in the slot of the installation under
// installation-tasks and so on.
//
// What spans the two goes in steps. An entry of the ZSET is made before its task and removed after its end, and a task
// that is worked on renews its own, so whoever finds an entry that leads nowhere removes it, and no task is left behind.
package tasks

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// MaxTasks is how many tasks of a tenant are kept: more than anybody looks back at, in some 500 KB, and 8 MB at worst. Those that have
	// ended are forgotten first.
	MaxTasks = 1000
	// MaxUnfinished is how many tasks of a tenant may be unfinished at the same time.
	MaxUnfinished = 100
	// MaxItems bounds the items that one step of a task touches.
	MaxItems = 100
	// MaxErrors is how many errors of single items are kept of a task. The others are only counted.
	MaxErrors = 1000
	// maxText bounds what the steps of a task remember, in bytes, and maxParams its parameters with its scope.
	maxText   = 4 << 10
	maxParams = 32 << 10
	// maxMessage bounds the text of an error of an item, in bytes.
	maxMessage = 200
)

// prefix starts the id of every task.
const prefix = "task_"

// Status is how far a task has come.
type Status string

// The states of a task.
const (
	Running    Status = "running" // or it waits for a server that works on it
	Succeeded  Status = "succeeded"
	Failed     Status = "failed"
	Cancelling Status = "cancelling" // its end was asked for
	Cancelled  Status = "cancelled"
)

// Task is work that was asked for.
type Task struct {
	ID         string // task_ and 20 characters; sorts by the time at which it was made
	Type       string // such as "purge"
	Status     Status
	Queue      string // name of the queue that it works on, or ""
	Scope      string // what else is to be shown of what it works on: a JSON object, or ""
	Progress   Progress
	Error      *Failure // why it failed; nil when it did not
	CreatedBy  string   // id of the key that asked for it, or ""
	MaxRate    int      // items done or failed per second at most; 0: as fast as it goes
	CreatedAt  time.Time
	StartedAt  time.Time // zero: not yet
	FinishedAt time.Time // zero: not yet
}

// Progress counts the items of a task, such as messages.
type Progress struct {
	// Total is how many there are to look at. It is an estimate until the task has succeeded.
	Total int64
	// Looked is how many were looked at. Those that need nothing are neither Done nor Failed.
	Looked int64
	Done   int64
	Failed int64
	// Worked is how long the task was worked on, including the waits that its rate asks for.
	Worked time.Duration
}

// Rate returns how many items were done or failed per second of work, and 0 before there was any.
func (p Progress) Rate() float64 {
	if p.Worked <= 0 {
		return 0
	}
	return float64(p.Done+p.Failed) / p.Worked.Seconds()
}

// Left returns how long the rest will take if it goes on like that. It reports false when nothing is known of that.
func (p Progress) Left() (time.Duration, bool) {
	if p.Worked <= 0 || p.Looked == 0 {
		return 0, false
	}
	return time.Duration(float64(max(p.Total-p.Looked, 0)) / float64(p.Looked) * float64(p.Worked)), true
}

// Failure is why a task failed, for people.
type Failure struct {
	Code    string // stable snake_case name
	Message string
}

// ItemError is what went wrong with one item.
type ItemError struct {
	Item    string // its id
	Code    string // stable snake_case name
	Message string // at most 200 bytes; without secrets
	At      time.Time
}

// NewTask is what is said of a task that is to be worked on.
type NewTask struct {
	Type      string
	Queue     string // see Task
	Scope     string // see Task
	Params    string // what its steps need to know; nobody else sees it
	CreatedBy string // see Task
	Total     int64  // how many items there are to look at, as far as known
	Limit     int64  // ends the task as succeeded once so many are done; 0: no limit
	MaxRate   int    // items done or failed per second at most; 0: as fast as it goes
	// Alone refuses the task while another one of its type, queue and Of is unfinished.
	Alone bool
	Of    string // what the task works on beside a queue, for Alone
}

// The errors of this package, besides those of the engine.
var (
	ErrNotFound = &errs.Error{Kind: errs.NotFound, Code: "task_not_found",
		Message: fmt.Sprintf("There is no such task. The newest %d of a tenant are kept.", MaxTasks)}
	ErrTenantGone = &errs.Error{Kind: errs.NotFound, Code: "tenant_not_found", Message: "There is no such tenant."}
	ErrFinished   = &errs.Error{Kind: errs.Conflict, Code: "task_finished",
		Message: "The task has ended, so it cannot be cancelled."}
	ErrAlreadyRunning = &errs.Error{Kind: errs.Conflict, Code: "task_already_running",
		Message: "Another task of this type works on the queue."}
	ErrQuota = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: fmt.Sprintf("The tenant has %d unfinished tasks, and no more are allowed.", MaxUnfinished),
		Fix:     "Wait until some of them have ended, or cancel them."}
	// ErrLost says that another server has the task now, or that it is gone. Nothing was saved.
	ErrLost = errors.New("the lease on the task is lost")

	errRecord = errors.New("the record of a task is damaged")
	errLate   = errors.New("the task was stored too long after it was planned")
)

//go:embed lua
var files embed.FS

var (
	addScript     = engine.MustLoad(files, "add")
	startScript   = engine.MustLoad(files, "start")
	getScript     = engine.MustLoad(files, "get")
	listScript    = engine.MustLoad(files, "list")
	errorsScript  = engine.MustLoad(files, "errors")
	cancelScript  = engine.MustLoad(files, "cancel")
	claimScript   = engine.MustLoad(files, "claim")
	keepScript    = engine.MustLoad(files, "keep")
	advanceScript = engine.MustLoad(files, "advance")
	forgetScript  = engine.MustLoad(files, "forget")
	dueScript     = engine.MustLoad(files, "due")
	planScript    = engine.MustLoad(files, "plan")
	unplanScript  = engine.MustLoad(files, "unplan")
)

// Installation stands in the place of a tenant for what belongs to none.
const Installation = "-"

func tasksKey(tenant string) string  { return key(tenant, "tasks") }       // HASH id to JSON
func runsKey(tenant string) string   { return key(tenant, "task-runs") }   // HASH id to line of control
func errorsKey(tenant string) string { return key(tenant, "task-errors") } // HASH id:part to JSON lines

func key(tenant, part string) string {
	if tenant == Installation {
		return engine.SystemKey("installation-" + part)
	}
	return engine.TenantKey(tenant, part)
}

// ownerKey is a HASH that says whether there is somebody to have tasks: that of the tenant, or that of the installation.
func ownerKey(tenant string) string {
	if tenant == Installation {
		return engine.SystemKey("installation")
	}
	return engine.TenantKey(tenant, "tenant")
}

var planKey = engine.SystemKey("tasks") // ZSET entry to time

// typePattern is what a type's name looks like: it stands in an entry of the plan and in metrics.
var typePattern = regexp.MustCompile(`^[a-z][a-z_]{0,31}$`)
