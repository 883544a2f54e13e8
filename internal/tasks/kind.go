package tasks

import (
	"context"
	"time"
)

// Kind is how tasks of one type are worked on.
type Kind struct {
	// Step does the next part of a task, at most Work.Most items.
	//
	// It may be called again with the same Work.Step and Work.State, on this server or another one, when what it did was
	// done and not saved. Then it must do nothing a second time and return what it did the first time. Two calls may even
	// overlap: the script that takes effect must see by the number of the step which of them is late, and refuse that
	// one. After Work.Until nothing may take effect.
	//
	// An error that trying again cannot mend, such as "not found", ends the task; others are tried again for some
	// minutes, and for as long as it takes when Redis is not there or full. A step that fails may take effect later all
	// the same, so it too is made again with the same number.
	Step func(ctx context.Context, w Work) (Result, error)
	// End removes what the steps left behind for their own use, after the end of the task. It may be called several
	// times. Nil: there is nothing.
	End func(ctx context.Context, w Work) error
}

// Work is what a step is told.
type Work struct {
	Tenant string
	Task   Task
	Params string // see NewTask
	State  string // of the last step that was saved; "" at first
	// Step is the number of this step, from 1 on. It grows by one with each step that is saved.
	Step int64
	// Most is how many items the step may do or fail at, 1 to MaxItems. 0: none, for the task is to end; return what an
	// earlier call did that was not saved.
	Most int
	// Until is when the lease ends unless it is renewed, by the clock of Redis.
	Until time.Time
}

// Result is what a step did.
type Result struct {
	State  string // Work.State of the next step, such as where to go on; at most 4 KiB
	Total  int64  // how many items there are to look at, if the step has learnt that; else 0
	Looked int64
	Done   int64
	Failed int64
	Errors []ItemError // of some or all of the failed ones
	// Pause is how long to wait before the next step, whichever server makes it. The wait that NewTask.MaxRate asks for
	// comes by itself.
	Pause    time.Duration
	Finished bool // there is nothing more to do
}

func (l *lease) work(most int) Work {
	return Work{Tenant: l.tenant, Task: l.record.task(), Params: l.record.Params, State: l.record.State,
		Step: l.record.Steps + 1, Most: most, Until: l.until}
}

// with returns the record after a step.
func (r record) with(res Result) record {
	r.State = res.State
	r.Steps++
	if res.Total > 0 {
		r.Total = res.Total
	}
	r.Looked += res.Looked
	r.Done += res.Done
	r.Failed += res.Failed
	r.Total = max(r.Total, r.Looked)
	r.Tries = 0
	return r
}
