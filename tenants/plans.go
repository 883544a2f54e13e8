package tenants

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// MaxPlans bounds the plans of an installation.
	MaxPlans = 100
	// DefaultPlan is the name of the plan, if there is one, that tenants have which name none.
	DefaultPlan = "default"
)

// Plan is a set of limits with a name, for all tenants that have it.
type Plan struct {
	Name      string
	Limits    Limits
	CreatedAt time.Time
	UpdatedAt time.Time
	ETag      string // changes with every change
}

// Plans are all plans of an installation, by name.
type Plans map[string]Plan

// Limits returns what holds for a tenant: its own limits, over those of its plan, over those that always hold. A plan
// that is not there counts as none.
func (p Plans) Limits(t Tenant) Limits {
	plan, ok := p[t.Plan]
	if !ok {
		plan = p[DefaultPlan]
	}
	return t.Limits.over(plan.Limits).over(builtIn())
}

// List returns the plans in the order of their names.
func (p Plans) List() []Plan {
	list := make([]Plan, 0, len(p))
	for _, plan := range p {
		list = append(list, plan)
	}
	slices.SortFunc(list, func(a, b Plan) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// The errors about plans.
var (
	ErrPlanNotFound = &errs.Error{Kind: errs.NotFound, Code: "plan_not_found", Message: "There is no such plan."}
	ErrPlanInUse    = &errs.Error{Kind: errs.Conflict, Code: "plan_in_use",
		Message: "Tenants have this plan.",
		Fix:     "Give them another one first: PATCH /v1/tenants/{tenant}."}
	errTooManyPlans = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: fmt.Sprintf("There are %d plans, and no more are allowed.", MaxPlans),
		Fix:     "Delete plans that no tenant has.",
		Usage:   &errs.Usage{Quota: "plans", Limit: MaxPlans, Used: MaxPlans}}
)

// Plans returns all plans.
func (s *Store) Plans(ctx context.Context) (Plans, error) {
	f, err := s.readPlans(ctx, "?")
	if err != nil {
		return nil, err
	}
	return f.plans, nil
}

// readPlans asks for the mark, and for the plans when it is not known.
func (s *Store) readPlans(ctx context.Context, known string) (*confirmation, error) {
	f := &confirmation{at: s.terms.now()}
	got, err := s.run(ctx, plansScript, []string{termsKey, plansKey}, known)
	if err != nil {
		return nil, err
	}
	if f.mark = got[0]; f.mark == known {
		return f, nil
	}
	f.plans = Plans{}
	for i := 1; i+1 < len(got); i += 2 {
		if f.plans[got[i]], err = parsePlan(got[i], got[i+1]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// parsePlan reads a plan's record; see lua/lib/plan.lua.
func parsePlan(name, text string) (Plan, error) {
	p := Plan{Name: name}
	part := strings.SplitN(text, " ", 4)
	err := fmt.Errorf("%d parts", len(part))
	if len(part) == 4 {
		p.ETag = part[0]
		if p.CreatedAt, err = parseMillis(part[1]); err == nil {
			p.UpdatedAt, err = parseMillis(part[2])
		}
		if err == nil {
			err = json.Unmarshal([]byte(part[3]), &p.Limits)
		}
	}
	if err != nil {
		return Plan{}, engine.ErrBroken.Because(fmt.Errorf("record of plan %q is damaged: %w", name, err))
	}
	return p, nil
}

// PutPlan makes a plan or replaces its limits, and reports whether it made it. It holds for the tenants that have it
// within 5 s on every server, and on this one at once.
func (s *Store) PutPlan(ctx context.Context, name string, set Limits, cond Condition) (Plan, bool, error) {
	if !namePattern.MatchString(name) {
		return Plan{}, false, errs.Invalidf("/name", "a plan's name has 1 to 63 characters of a-z, 0-9 and -, the first of them not -; got %s", quote(name))
	}
	if err := set.check(""); err != nil {
		return Plan{}, false, err
	}
	text, err := json.Marshal(set)
	if err != nil {
		return Plan{}, false, err
	}
	got, err := s.run(ctx, planPutScript, []string{termsKey, plansKey}, name, text, newETag(), cond.IfMatch, cond.IfNoneMatch, MaxPlans)
	if err != nil {
		return Plan{}, false, err
	}
	switch got[0] {
	case "precondition":
		return Plan{}, false, ErrPrecondition
	case "full":
		return Plan{}, false, errTooManyPlans
	}
	s.terms.forget(ID{})
	p, err := parsePlan(name, got[1])
	return p, got[0] == "created", err
}

// GetPlan returns the plan name.
func (s *Store) GetPlan(ctx context.Context, name string) (Plan, error) {
	all, err := s.Plans(ctx)
	if err != nil {
		return Plan{}, err
	}
	p, ok := all[name]
	if !ok {
		return Plan{}, ErrPlanNotFound
	}
	return p, nil
}

// DeletePlan deletes the plan name. One that tenants have is ErrPlanInUse; the plan "default" can always be deleted as
// long as no tenant names it, and then those without a plan have none.
func (s *Store) DeletePlan(ctx context.Context, name string, cond Condition) error {
	got, err := s.run(ctx, planDeleteScript, []string{termsKey, plansKey, planTenantsKey, idsKey}, name, newETag(), cond.IfMatch, cond.IfNoneMatch)
	if err != nil {
		return err
	}
	switch got[0] {
	case "absent":
		return ErrPlanNotFound
	case "precondition":
		return ErrPrecondition
	case "used":
		e := *ErrPlanInUse
		e.Message = fmt.Sprintf("Tenants have this plan: %s of them.", got[1])
		return &e
	}
	s.terms.forget(ID{})
	return nil
}

// claim notes that a tenant is about to get a plan, which is not deleted from here on. A tenant that does not get it in
// the end gives it back with its next change, or with its own end.
func (s *Store) claim(ctx context.Context, plan string, id ID) error {
	if plan == "" {
		return nil
	}
	got, err := s.run(ctx, claimScript, []string{plansKey, planTenantsKey}, plan, id.s)
	if err == nil && got[0] == "absent" {
		return errs.Invalidf("/plan", "there is no plan %s", quote(plan)).WithFix("Make it first: PUT /v1/plans/{plan}.")
	}
	return err
}
