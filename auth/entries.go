package auth

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sluicemq/sluice/internal/engine"
)

// entryPage is how many entries of a set one script reads.
const entryPage = 200

// listed is one entry of a set of sessions or members.
type listed struct {
	entry string
	text  string // the record
	used  use
}

// entries returns up to limit entries of a set that begin with prefix, which ends with a slash, and the time of Redis in
// milliseconds since 1970.
func (k *KeyStore) entries(ctx context.Context, set, prefix string, limit int) (list []listed, now int64, err error) {
	from, to := "["+prefix, "("+prefix[:len(prefix)-1]+"0" // which comes behind a slash
	for {
		most := min(entryPage, limit-len(list))
		got, err := k.run(ctx, listEntriesScript, []string{recordsKey, usesKey, set}, from, to, most)
		if err != nil {
			return nil, 0, err
		}
		if now, err = strconv.ParseInt(got[0], 10, 64); err != nil || len(got)%3 != 1 {
			return nil, 0, engine.ErrBroken.Because(fmt.Errorf("%s: unexpected answer of %d values", listEntriesScript.Name, len(got)))
		}
		for i := 1; i < len(got); i += 3 {
			from = "(" + got[i]
			if got[i+1] != "" {
				list = append(list, listed{entry: got[i], text: got[i+1], used: parseUse(got[i+2])})
			}
		}
		if len(got) < 1+3*most || len(list) >= limit {
			return list, now, nil
		}
	}
}
