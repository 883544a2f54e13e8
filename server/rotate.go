package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9/logging"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
)

// newKeyFile holds the master key that a rotation brings, in the data directory.
const newKeyFile = keyring.FileName + ".next"

const rotateHelp = `sluice rotate-master-key [--new-key FILE | --finish | --cancel] [settings of serve] puts another master key in the
place of the one that servers have. Nothing that was made with the old one is lost, and no server stops.

Where the server has its key and its Redis in the data directory, one call does all. Otherwise it takes three steps:

  sluice rotate-master-key            adds a new key, which opens the installation beside the old one
  (give it to every server: as <data>/master-key, or as SLUICE_MASTER_KEY and restart it)
  sluice rotate-master-key --finish   with the new key: the old one opens nothing any more

  --new-key FILE  where the new key is. One is made if there is no such file. Default: <data>/master-key.next
  --finish        ends the old key
  --cancel        with the old key: takes the new one back

It prints no key. What a crash leaves half done is found and carried on by the same call.
`

// RotateMasterKeyCommand runs "sluice rotate-master-key" with the settings of serve: for whoever fears that somebody else has
// the master key, or has to replace it every so often. It never shows a key. Its status is 0 when it has done what was
// asked, 1 when not, 2 when a setting is wrong.
func RotateMasterKeyCommand(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	return rotateMasterKey(ctx, args, environ, out, errOut, func(string) error { return nil })
}

// rotateMasterKey calls step after each step; its error ends the command there.
func rotateMasterKey(ctx context.Context, args, environ []string, out, errOut io.Writer, step func(done string) error) int {
	logging.Disable()
	r := &rotation{out: out, step: step, doctor: &doctor{}}
	args, err := r.read(args)
	if err == nil {
		r.config, err = LoadConfig(args, environ)
	}
	if errors.Is(err, ErrHelp) {
		fmt.Fprint(out, rotateHelp)
		return 0
	}
	if err != nil {
		fmt.Fprintln(errOut, "sluice:", err)
		return 2
	}
	if err := r.run(ctx); err != nil {
		fmt.Fprintln(errOut, "sluice:", err)
		return 1
	}
	return 0
}

// rotation is one call of the command.
type rotation struct {
	*doctor        // who finds the installation
	finish, cancel bool
	file           string // of the new key; "" for the one in the data directory
	out            io.Writer
	step           func(done string) error
}

// read takes the options of its own out of args.
func (r *rotation) read(args []string) ([]string, error) {
	var rest []string
	for i := 0; i < len(args); i++ {
		switch name, value, given := strings.Cut(args[i], "="); {
		case args[i] == "--finish":
			r.finish = true
		case args[i] == "--cancel":
			r.cancel = true
		case name == "--new-key" && given:
			r.file = value
		case name == "--new-key" && i+1 < len(args):
			i++
			r.file = args[i]
		case name == "--new-key":
			return nil, fmt.Errorf("%w: --new-key needs a file", ErrUsage)
		default:
			rest = append(rest, args[i])
		}
	}
	if r.finish && r.cancel || r.file != "" && (r.finish || r.cancel) {
		return nil, fmt.Errorf("%w: only one of --new-key, --finish and --cancel", ErrUsage)
	}
	return rest, nil
}

func (r *rotation) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, doctorLimit)
	defer cancel()
	if !r.lookAtFiles() || !r.connect() {
		return r.why()
	}
	defer func() { _ = r.engine.Close() }()
	if !r.lookAtData(ctx) {
		return r.why()
	}
	if err := r.engine.StartSession(ctx); err != nil { // from which the ids in the audit log come
		return err
	}
	have := r.have
	rotating, mine := have.Next != "", r.master.Fingerprint()
	switch isNew := rotating && keyring.SealedBy(have.Next) == mine; {
	case r.finish && rotating && !isNew:
		return fmt.Errorf("this is the old master key, %s. Finish with the new one, %s, once all servers have it", mine, keyring.SealedBy(have.Next))
	case r.cancel && isNew:
		return fmt.Errorf("this is the new master key, %s. Cancel with the old one, %s, which all servers must have then", mine, owner(have))
	case r.cancel && rotating:
		return r.takeBack(ctx, have)
	case r.finish && rotating, r.alone() && isNew:
		return r.end(ctx, have)
	case r.finish, r.cancel:
		fmt.Fprintf(r.out, "No rotation is under way: the master key is %s, and no other opens the installation.\n", mine)
		return nil
	case isNew:
		fmt.Fprintf(r.out, "This is the new master key already, %s. The old one, %s, still opens the installation.\n", mine, owner(have))
		r.explain()
		return nil
	}
	return r.add(ctx, have)
}

// alone reports whether the installation can have no other server, because its Redis is a child of the one whose key is
// in the data directory.
func (r *rotation) alone() bool { return r.config.RedisURL.IsZero() && len(r.config.MasterKey) == 0 }

// newKey returns the file of the new key.
func (r *rotation) newKey() string {
	if r.file != "" {
		return r.file
	}
	return filepath.Join(r.config.DataDir, newKeyFile)
}

// add lets the new key open the installation, beside the old one. The file comes first: a key that nobody has must not be
// in Redis.
func (r *rotation) add(ctx context.Context, have engine.Identity) error {
	next, _, err := keyring.OpenFile(r.newKey(), nil)
	if err != nil {
		return err
	}
	for _, w := range next.Warnings() {
		fmt.Fprintln(r.out, "Warning:", w)
	}
	mine, other := r.master.Fingerprint(), next.Fingerprint()
	switch {
	case other == mine && r.alone() && r.file == "": // all that a crash has left to do
		return r.tidy(mine)
	case other == mine:
		return fmt.Errorf("%s holds the master key that is in use: a rotation brings another one", r.newKey())
	case have.Next != "" && keyring.SealedBy(have.Next) != other:
		return fmt.Errorf("a rotation to another master key, %s, is under way, and %s holds %s. Finish it, or cancel it with --cancel",
			keyring.SealedBy(have.Next), r.newKey(), other)
	}
	if err := r.step("made"); err != nil {
		return err
	}
	if have.Next == "" {
		root := have.Root
		if root == "" { // founded before there was a root
			root = r.master.Seal(r.root)
		}
		if have, err = r.reseal(ctx, "addMasterKey", have, root, next.Seal(r.root)); err != nil {
			return err
		}
	}
	if err := r.step("added"); err != nil {
		return err
	}
	if r.alone() {
		return r.replace(ctx, have, next)
	}
	fmt.Fprintf(r.out, "A new master key, %s, is in %s, and opens the installation. The old one, %s, still does too.\n", other, r.newKey(), mine)
	r.explain()
	return nil
}

func (r *rotation) explain() {
	fmt.Fprint(r.out, "Give the new one to every server: as <data>/master-key, or as SLUICE_MASTER_KEY and restart it. "+
		"/readyz warns until a server has it.\nThen, with the new key: sluice rotate-master-key --finish\n")
}

// replace makes the new key that of the server, which has read the old one at its start and needs none until the next.
func (r *rotation) replace(ctx context.Context, have engine.Identity, next *keyring.Master) error {
	file := filepath.Join(r.config.DataDir, keyring.FileName)
	err := next.Save(file)
	if err == nil {
		err = r.step("replaced")
	}
	if err != nil {
		return err
	}
	// The old key ends only when what is on the disk now is known to open the installation.
	if r.master, err = keyring.Load(file); err != nil {
		return err
	}
	return r.end(ctx, have)
}

// end lets only the new key open the installation, which is that of r now.
func (r *rotation) end(ctx context.Context, have engine.Identity) error {
	if _, err := openRoot(r.master, engine.Identity{Fingerprint: have.Fingerprint, Root: have.Next}); err != nil {
		return err
	}
	if _, err := r.reseal(ctx, "endMasterKey", have, have.Next, ""); err != nil {
		return err
	}
	if err := r.step("ended"); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "The old master key, %s, opens nothing any more.\n", owner(have))
	if owner(have) == have.Fingerprint {
		fmt.Fprint(r.out, "But this installation was founded before there was a root secret, and all its secrets are derived from that very key: keep it secret still.\n")
	}
	return r.tidy(keyring.SealedBy(have.Next))
}

// tidy says which master key holds. Where it was put in its place, the file that it came in is removed.
func (r *rotation) tidy(holds string) error {
	fmt.Fprintf(r.out, "The master key is %s.\n", holds)
	if r.alone() {
		return r.forget(holds)
	}
	return nil
}

// takeBack lets only the old key open the installation again.
func (r *rotation) takeBack(ctx context.Context, have engine.Identity) error {
	if _, err := r.reseal(ctx, "cancelMasterKey", have, have.Root, ""); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "The new master key, %s, opens nothing any more. The master key is %s.\n", keyring.SealedBy(have.Next), owner(have))
	return r.forget(keyring.SealedBy(have.Next)) // so that the next rotation does not bring it back
}

// forget removes the file of the new key in the data directory if it holds the key with this fingerprint.
func (r *rotation) forget(fingerprint string) error {
	file := filepath.Join(r.config.DataDir, newKeyFile)
	m, err := keyring.Load(file)
	if err != nil || m.Fingerprint() != fingerprint {
		return nil //nolint:nilerr // the key came from somewhere else
	}
	return os.Remove(file)
}

// reseal changes who opens the installation, and notes that in the audit log of operators.
func (r *rotation) reseal(ctx context.Context, operation string, have engine.Identity, root, next string) (engine.Identity, error) {
	now := have
	now.Root, now.Next = root, next
	log := audit.New(r.engine)
	entry := audit.Entry{ID: log.NewID(), Operation: operation, Actor: audit.Actor{Kind: "command"},
		Target: audit.Target{Type: "master_key", Name: owner(now)}, Before: openers(have), After: openers(now)}
	if err := log.Begin(ctx, audit.Installation, entry); err != nil {
		return have, err
	}
	err := r.engine.Reseal(ctx, have, root, next)
	entry.Outcome = audit.Done
	if err != nil {
		entry.Outcome = audit.Unknown
		err = fmt.Errorf("%w. Call the command again: it carries on with what was begun", err)
	}
	_ = log.End(context.WithoutCancel(ctx), audit.Installation, entry) // without it the entry says that nobody knows
	return now, err
}

// openers returns the fingerprints of the master keys that open an installation, for the audit log.
func openers(have engine.Identity) json.RawMessage {
	list := []string{owner(have)}
	if have.Next != "" {
		list = append(list, keyring.SealedBy(have.Next))
	}
	text, _ := json.Marshal(map[string][]string{"fingerprints": list})
	return text
}
