package addr

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRedis(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		want  Redis
		print string
	}{
		{"redis://r", Redis{Mode: Standalone, Addrs: []string{"r:6379"}}, "redis://r:6379"},
		{"redis://r:1/", Redis{Mode: Standalone, Addrs: []string{"r:1"}}, "redis://r:1"},
		{"redis://my_redis/15", Redis{Mode: Standalone, Addrs: []string{"my_redis:6379"}, DB: 15}, "redis://my_redis:6379/15"},
		{"rediss://u:p%40@[::1]?db=3", Redis{Mode: Standalone, TLS: true, Addrs: []string{"[::1]:6379"}, Username: "u",
			Password: "p@", DB: 3}, "rediss://***@[::1]:6379/3"},
		{"redis://:a/b?c#d@e:f@[::1]:2", Redis{Mode: Standalone, Addrs: []string{"[::1]:2"}, Password: "a/b?c#d@e:f"},
			"redis://***@[::1]:2"},
		{"redis://u@r", Redis{Mode: Standalone, Addrs: []string{"r:6379"}, Username: "u"}, "redis://***@r:6379"},
		{"unix:///run/redis@1/r.sock?db=2", Redis{Mode: Standalone, Socket: "/run/redis@1/r.sock", DB: 2},
			"unix:///run/redis@1/r.sock?db=2"},
		{"unix://u:p@/r.sock", Redis{Mode: Standalone, Socket: "/r.sock", Username: "u", Password: "p"}, "unix://***@/r.sock"},
		{"redis+cluster://a:1,b,[::1]", Redis{Mode: Cluster, Addrs: []string{"a:1", "b:6379", "[::1]:6379"}},
			"redis+cluster://a:1,b:6379,[::1]:6379"},
		{"rediss+cluster://:p@a", Redis{Mode: Cluster, TLS: true, Addrs: []string{"a:6379"}, Password: "p"},
			"rediss+cluster://***@a:6379"},
		{"redis+sentinel://a,b:1/main", Redis{Mode: Sentinel, Addrs: []string{"a:26379", "b:1"}, MasterName: "main"},
			"redis+sentinel://a:26379,b:1/main"},
		{"rediss+sentinel://u:p@a/main?db=4", Redis{Mode: Sentinel, TLS: true, Addrs: []string{"a:26379"}, MasterName: "main",
			Username: "u", Password: "p", DB: 4}, "rediss+sentinel://***@a:26379/main?db=4"},
	} {
		got, err := ParseRedis(tt.in)
		// Redis has a String, which cmp would take for a reason to compare less.
		if diff := cmp.Diff(fields(tt.want), fields(got)); err != nil || diff != "" {
			t.Errorf("ParseRedis(%q): %v (-want +got):\n%s", tt.in, err, diff)
		}
		if again, err := ParseRedis(got.Reveal()); err != nil || cmp.Diff(fields(got), fields(again)) != "" {
			t.Errorf("ParseRedis(%q) reveals %s, which reads as something else: %v", tt.in, got.Reveal(), err)
		}
		if got.String() != tt.print {
			t.Errorf("ParseRedis(%q) prints %s, want %s", tt.in, got, tt.print)
		}
	}
}

// fields is u without its methods, so that a difference shows.
func fields(u Redis) any {
	type plain Redis
	return plain(u)
}

func TestABadAddressIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"hunter2", "user:hunter2@r:6379", "://hunter2", "http://u:hunter2@r", "REDIS://u:hunter2@r", "redis:u:hunter2@r",
		"redis://u:hunter2", "redis://u:hunter2%zz@r", "redis://u:hunter2@", "redis://u:hunter2@r:0", "redis://u:hunter2@r:99999",
		"redis://u:hunter2@r:port", "redis://u:hunter2@a,b", "redis://u:hunter2@r/x", "redis://u:hunter2@r/-1",
		"redis://u:hunter2@r/10000", "redis://u:hunter2@r/0/1", "redis://u:hunter2@r?protocol=3", "redis://u:hunter2@::1",
		"redis://u:hunter2@[::1", "redis://u:hunter2@a b", "unix://u:hunter2@run/r.sock", "unix://", "unix:///",
		"redis+cluster://u:hunter2@a,,b", "redis+cluster://u:hunter2@a/1", "redis+cluster://u:hunter2@a?db=1",
		"redis+cluster://u:hunter2@" + strings.Repeat("a,", 64) + "a",
		"redis+sentinel://u:hunter2@a", "redis+sentinel://u:hunter2@a/", "redis+sentinel://u:hunter2@a/m/n", "redis+unix:///hunter2",
	} {
		_, err := ParseRedis(in)
		if err == nil {
			t.Errorf("%s: no error", in)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats the password: %v", in, err)
		}
	}
}

// Whatever an address holds, it is refused or prints without its password in a form that reads back the same.
func FuzzRedis(f *testing.F) {
	for _, seed := range []string{"redis://a", "unix://u:p@/s?db=1", "redis+cluster://a,[::1]:1", "rediss+sentinel://:p@a/m?db=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseRedis(s)
		if err != nil {
			return
		}
		again, err := ParseRedis(u.String())
		again.Username, again.Password = u.Username, u.Password
		if diff := cmp.Diff(fields(u), fields(again)); err != nil || diff != "" {
			t.Errorf("%q prints %s, which reads as %v:\n%s", s, u, err, diff)
		}
	})
}
