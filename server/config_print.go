package server

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Help prints one line for each setting: its flag, variable, key in the file, default and meaning.
func Help(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FLAG\tVARIABLE\tFILE KEY\tDEFAULT\tMEANING")
	for _, row := range helpRows() {
		fmt.Fprintln(tw, strings.Join(row[:], "\t"))
	}
	return tw.Flush()
}

// helpRows has a dash for what a setting lacks.
func helpRows() [][5]string {
	rows := make([][5]string, 0, len(settings))
	for _, s := range settings {
		rows = append(rows, [5]string{"--" + s.flag(), cmp.Or(s.env, "-"), cmp.Or(s.fileKey(), "-"),
			cmp.Or(s.def, s.none, "-"), s.meaning()})
	}
	return rows
}

// markdownTable is the table of docs/configuration.md.
func markdownTable() string {
	var b strings.Builder
	b.WriteString("| File key | Variable | Flag | Default | Meaning |\n|---|---|---|---|---|\n")
	code := func(s string) string {
		if s == "-" {
			return ""
		}
		return "`" + s + "`"
	}
	// GitHub would take <data_dir> for a tag.
	escape := strings.NewReplacer("<", "&lt;", ">", "&gt;", "|", `\|`)
	for _, row := range helpRows() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", code(row[2]), code(row[1]), code(row[0]), code(row[3]),
			escape.Replace(row[4]))
	}
	return b.String()
}

// printedSetting is a setting as people may see it.
type printedSetting struct {
	name, value, where string
	origin             Origin
}

// printed returns every setting with its value and where that came from. Secrets are ***.
func (c Config) printed() []printedSetting {
	var all []printedSetting
	for _, s := range settings {
		if s.env != "" { // otherwise an order for this run, not a setting
			all = append(all, printedSetting{name: s.name, value: s.text(&c), origin: c.Origin(s.name), where: c.origins[s.name].where})
		}
	}
	return all
}

// PrintConfig prints every setting with its value and where that came from. Secrets are ***.
func (c Config) PrintConfig(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SETTING\tVALUE\tORIGIN")
	for _, s := range c.printed() {
		origin := string(s.origin)
		if s.where != "" {
			origin += " (" + s.where + ")"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", s.name, cmp.Or(s.value, "-"), origin)
	}
	return tw.Flush()
}
