package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/redis/go-redis/v9/logging"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/tenants"
)

// ResetOperatorCommand runs "sluice reset-operator" with the settings of serve: for whoever has lost the operator's key, or
// fears that somebody else has it, and can read and write the data directory. It never shows a key. Its status is 0 when
// the key is another one, 1 when it is not or the old one may hold too, 2 when a setting is wrong.
func ResetOperatorCommand(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	logging.Disable()
	c, err := LoadConfig(args, environ)
	switch {
	case errors.Is(err, ErrHelp):
		fmt.Fprint(out, "sluice reset-operator [settings of serve] makes a new operator's key, writes it to <data>/operator-key,\n"+
			"and revokes the one that was there. Run it on the machine of the server, as its user. Other keys stay.\n")
		return 0
	case err != nil:
		fmt.Fprintln(errOut, "sluice:", err)
		return 2
	}
	file := filepath.Join(c.DataDir, operatorKeyFile)
	done, err := resetOperator(ctx, c, file)
	if done.ID != "" {
		fmt.Fprintf(out, "A new operator's key, %s, is in %s.\n", done.ID, file)
	}
	switch {
	case err != nil && done.ID != "":
		fmt.Fprintf(errOut, "sluice: the key that was there, %s, may still hold: %v\nRevoke it with the new one: DELETE /v1/operator_keys/%[1]s\n", done.Old, err)
	case err != nil:
		fmt.Fprintln(errOut, "sluice: the operator's key is as it was:", err)
	case done.Old != "":
		fmt.Fprintf(out, "The one that was there, %s, is revoked: servers refuse it within 5 seconds.\n", done.Old)
	default:
		fmt.Fprintln(out, "There was none before. Revoke keys that are lost: GET /v1/operator_keys lists them.")
	}
	if err != nil {
		return 1
	}
	return 0
}

func resetOperator(ctx context.Context, c Config, file string) (auth.Reset, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorLimit)
	defer cancel()
	d := &doctor{config: c}
	if !d.lookAtFiles() || !d.connect() {
		return auth.Reset{}, d.why()
	}
	defer func() { _ = d.engine.Close() }()
	if !d.lookAtData(ctx) {
		return auth.Reset{}, d.why()
	}
	if err := d.engine.StartSession(ctx); err != nil { // from which the id of the entry comes
		return auth.Reset{}, err
	}
	log := audit.New(d.engine)
	entry := audit.Entry{ID: log.NewID(), Operation: "resetOperatorKey", Actor: audit.Actor{Kind: "command"}, Target: audit.Target{Type: "operator_key"}}
	if err := log.Begin(ctx, audit.Installation, entry); err != nil {
		return auth.Reset{}, err
	}
	done, err := auth.NewKeyStore(d.engine, d.root, tenants.New(d.engine, clock.Real{}), clock.Real{}).ResetOperatorKey(ctx, file)
	entry.Outcome, entry.Target.Name = audit.Done, done.ID
	if done.Old != "" {
		entry.Before, _ = json.Marshal(map[string]string{"id": done.Old})
	}
	if err != nil {
		entry.Outcome = audit.Unknown
	}
	_ = log.End(context.WithoutCancel(ctx), audit.Installation, entry) // without it the entry says that nobody knows
	return done, err
}

// why returns what hindered the doctor.
func (d *doctor) why() error {
	last := d.findings[len(d.findings)-1]
	return fmt.Errorf("%s: %s. %s", last.Check, last.Detail, last.Fix)
}
