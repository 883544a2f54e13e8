// Package reach finds the server that a command of the client's side speaks to, and the key that it has there.
package reach

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Flags declares --url and --key. The function that it returns is called once the flags are parsed: it fills in a key that was
// not given from SLUICE_KEY, or from the file that a first start of the server leaves in its data directory.
func Flags(flags *flag.FlagSet, getenv func(string) string, url, key *string) (complete func() error) {
	flags.StringVar(url, "url", cmp.Or(getenv("SLUICE_URL"), "http://127.0.0.1:8080"), "the server (SLUICE_URL)")
	flags.StringVar(key, "key", "", "API key (SLUICE_KEY, else the file default-key in SLUICE_DATA_DIR or ./data)")
	return func() error {
		if *key = cmp.Or(*key, getenv("SLUICE_KEY")); *key != "" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(cmp.Or(getenv("SLUICE_DATA_DIR"), "data"), "default-key"))
		if err != nil {
			return fmt.Errorf("key: give --key or SLUICE_KEY, or run where the server's data is: %w", err)
		}
		*key = strings.TrimSpace(string(text))
		return nil
	}
}
