package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds the file: thousands of times what all settings need.
const maxFileBytes = 1 << 20

const (
	envPrefix = "SLUICE_"
	// testRedisPrefix begins the variables by which tests choose their Redis. They are not ours.
	testRedisPrefix = "SLUICE_TEST_REDIS"
)

// serviceLink matches the variables that Kubernetes puts into every container of a namespace in which a service is
// called sluice or sluice-something. Nobody has set them, so they must not stop the server.
// A bare SLUICE_PORT counts only with the address that Kubernetes writes there: people mean SLUICE_LISTEN by it.
var serviceLink = regexp.MustCompile(`^SLUICE_(\w+_)?(` +
	`SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?=|PORT=(tcp|udp|sctp)://)`)

// readFlags stops at the first flag it does not know, because it cannot tell whether the next word is its value.
func readFlags(args []string) (layer, error) {
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	var names []string
	for _, s := range settings {
		// All are text to pflag, whose own messages would repeat a value that may be a secret.
		fs.String(s.flag(), "", "")
		if s.isSwitch() {
			fs.Lookup(s.flag()).NoOptDefVal = "true"
		}
		names = append(names, s.flag())
	}
	err := fs.Parse(args)
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		dashes, name := "--", unknown.GetSpecifiedName()
		if word := unknown.GetSpecifiedShortnames(); word != "" { // -listen, which pflag takes for -l -i -s …
			dashes = "-"
			name, _, _ = strings.Cut(word, "=")
		}
		err = fmt.Errorf("unknown flag %s%s%s", dashes, name, didYouMean("--", name, names))
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q: settings are flags, and a value of true or false needs =, "+
			"as in --log-requests=false", fs.Arg(0))
	}
	values := layer{}
	for _, s := range settings {
		if f := fs.Lookup(s.flag()); f.Changed {
			values[s.name] = given{raw: f.Value.String(), origin: FromFlag, where: "--" + f.Name}
		}
	}
	return values, err
}

// readEnviron takes an empty variable for one that is not set, as compose files and charts leave them.
func readEnviron(environ []string) (layer, []error) {
	byEnv := map[string]setting{}
	var names []string
	for _, s := range settings {
		if s.env != "" {
			byEnv[s.env] = s
			names = append(names, strings.TrimPrefix(s.env, envPrefix))
		}
	}
	values := layer{}
	var problems []error
	for _, kv := range environ {
		name, raw, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testRedisPrefix) || strings.TrimSpace(raw) == "" {
			continue
		}
		if s, ok := byEnv[name]; ok {
			values[s.name] = given{raw: raw, origin: FromEnvironment, where: name}
		} else if !serviceLink.MatchString(kv) {
			hint := didYouMean(envPrefix, strings.TrimPrefix(name, envPrefix), names)
			problems = append(problems, fmt.Errorf("unknown variable %s%s", name, hint))
		}
	}
	return values, problems
}

// readFile reads the YAML file that from names. The notes are warnings.
func readFile(from given) (values layer, notes []string, problems []error) {
	path := strings.TrimSpace(from.raw)
	root, mode, err := parseFile(path)
	if err != nil {
		return nil, nil, []error{fmt.Errorf("%s (from %s) %s: %w", configSetting, from.where, path, err)}
	}
	var names []string
	for _, s := range settings {
		if key := s.fileKey(); key != "" {
			names = append(names, key)
		}
	}
	values = layer{}
	lines := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		where := fmt.Sprintf("%s line %d", path, key.Line)
		if first, again := lines[key.Value]; again {
			problems = append(problems, fmt.Errorf("%s: duplicate key %q, first in line %d", where, key.Value, first))
			continue
		}
		lines[key.Value] = key.Line
		s, ok := settingNamed(key.Value)
		if !ok || s.noFile {
			problems = append(problems, fmt.Errorf("%s: unknown key %q%s", where, key.Value, didYouMean("", key.Value, names)))
			continue
		}
		raw, isSet, err := fileValue(value, s.isList())
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %s %w", where, s.name, err))
		} else if isSet {
			values[s.name] = given{raw: raw, origin: FromFile, where: where}
			if s.secret != nil && s.secret(raw) && mode.Perm()&0o004 != 0 {
				notes = append(notes, fmt.Sprintf("%s: every user of this machine can read it in %s: chmod 600 %s",
					s.name, path, path))
			}
		}
	}
	return values, notes, problems
}

// parseFile returns the one mapping in the file. A file of comments is an empty mapping.
func parseFile(path string) (*yaml.Node, os.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	if len(raw) > maxFileBytes {
		return nil, 0, fmt.Errorf("larger than %d bytes", maxFileBytes)
	}

	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	err = dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && doc.Content[0].ShortTag() == "!!null" {
		return &yaml.Node{}, info.Mode(), nil
	}
	if err != nil {
		return nil, 0, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, 0, errors.New("must be lines of `key: value`")
	}
	if !errors.Is(dec.Decode(&more), io.EOF) {
		return nil, 0, errors.New("must be one YAML document")
	}
	return doc.Content[0], info.Mode(), nil
}

// withoutPath keeps only the reason, because the caller names the file.
func withoutPath(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// fileValue returns the text of a value just as it stands in the file, so that `30` stays a number without a unit
// and a key of digits stays text. A key without a value is not set.
func fileValue(n *yaml.Node, list bool) (raw string, isSet bool, err error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode:
		return n.Value, n.ShortTag() != "!!null", nil
	case n.Kind == yaml.SequenceNode && list:
		parts := make([]string, len(n.Content))
		for i, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", false, errors.New("must be a list of plain values")
			}
			parts[i] = item.Value
		}
		return strings.Join(parts, ","), true, nil
	case list:
		return "", false, errors.New("must be one value or a list")
	}
	return "", false, errors.New("must be one value")
}

// secretNotes warns of secrets in places where they are easily read or easily mistaken, without their values.
func secretNotes(s setting, layers []layer) []string {
	if s.secret == nil {
		return nil
	}
	var notes []string
	var found []given // the winner first
	for _, l := range layers {
		if g, ok := l[s.name]; ok {
			found = append(found, g)
		}
	}
	for i, g := range found {
		if g.origin == FromFlag && s.secret(g.raw) {
			notes = append(notes, fmt.Sprintf("%s: %s shows the secret in the list of processes: use %s or the file",
				s.name, g.where, s.env))
		}
		if winner := found[0]; i > 0 && g.raw != winner.raw {
			notes = append(notes, fmt.Sprintf("%s: %s and %s differ, %s wins", s.name, winner.where, g.where, winner.where))
		}
	}
	return notes
}
