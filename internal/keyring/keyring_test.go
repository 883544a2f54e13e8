package keyring_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/keyring"
)

// master is 32 bytes whose base64 differs between the two alphabets.
var master = bytes.Repeat([]byte{0xfb, 0xff, 1, 2}, 8)

func open(t *testing.T, dir, secret string) *keyring.Master {
	t.Helper()
	k, _, err := keyring.Open(dir, secret, nil)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return k
}

func TestTheFirstStartMakesAFileAndTheNextReadsIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first, created, err := keyring.Open(dir, "", bytes.NewReader(master))
	if err != nil || !created {
		t.Fatalf("first Open: created %v, %v; want true and no error", created, err)
	}
	path := filepath.Join(dir, keyring.FileName)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	text, _ := os.ReadFile(path)
	if want := base64.StdEncoding.EncodeToString(master) + "\n"; string(text) != want {
		t.Errorf("file %q, want %q", text, want)
	}
	second, created, err := keyring.Open(dir, "", iotest.ErrReader(errors.New("random is not needed")))
	if err != nil || created {
		t.Fatalf("second Open: created %v, %v; want false and no error", created, err)
	}
	if diff := cmp.Diff(first.Keyring().Derive("x"), second.Keyring().Derive("x")); diff != "" {
		t.Errorf("keys of the same file differ (-first +second):\n%s", diff)
	}
	names, _ := os.ReadDir(dir)
	if len(names) != 1 {
		t.Errorf("the folder holds %v, want only the key", names)
	}
}

func TestEverySpellingOfASecretIsTheSame(t *testing.T) {
	t.Parallel()
	want := open(t, t.TempDir(), base64.StdEncoding.EncodeToString(master)).Fingerprint()
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		dir := t.TempDir()
		if got := open(t, dir, " "+enc.EncodeToString(master)+"\n").Fingerprint(); got != want {
			t.Errorf("fingerprint of %s: got %s, want %s", enc.EncodeToString(master), got, want)
		}
		if names, _ := os.ReadDir(dir); len(names) != 0 {
			t.Errorf("a given secret left %v in the folder", names)
		}
	}
}

func TestDeriveIsHKDF(t *testing.T) {
	t.Parallel()
	k := open(t, t.TempDir(), base64.StdEncoding.EncodeToString(master)).Keyring()
	want, err := hkdf.Key(sha256.New, master, nil, "sluice/v1/receipts", 32)
	if err != nil {
		t.Fatal(err)
	}
	got := k.Derive("receipts")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Derive (-want +got):\n%s", diff)
	}
	got[0]++ // what a caller does to its key must not reach the next one
	if diff := cmp.Diff(want, k.Derive("receipts")); diff != "" {
		t.Errorf("second Derive (-want +got):\n%s", diff)
	}
	if bytes.Equal(k.Derive("receipts"), k.Derive("cursors")) {
		t.Error("two purposes have one key")
	}
}

func TestFingerprintTellsSecretsApart(t *testing.T) {
	t.Parallel()
	a, b := open(t, t.TempDir(), ""), open(t, t.TempDir(), "")
	if a.Fingerprint() == b.Fingerprint() {
		t.Error("two new secrets have one fingerprint")
	}
	if raw, err := hex.DecodeString(a.Fingerprint()); err != nil || len(raw) != 8 {
		t.Errorf("fingerprint %q, want 16 hexadecimal characters", a.Fingerprint())
	}
}

func TestWhatCannotBeASecretIsRefused(t *testing.T) {
	t.Parallel()
	short := base64.StdEncoding.EncodeToString(master[:31])
	for name, text := range map[string]string{
		"blank":     " \n",
		"text":      "correct horse battery staple, and a little more of it",
		"short":     short,
		"one byte":  base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"truncated": base64.StdEncoding.EncodeToString(master)[:41],
		"two lines": base64.StdEncoding.EncodeToString(master) + "\n!" + short,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := keyring.Open(t.TempDir(), text, nil)
			checkDamaged(t, err, text, "SLUICE_MASTER_KEY")

			dir := t.TempDir()
			path := filepath.Join(dir, keyring.FileName)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err = keyring.Open(dir, "", nil)
			checkDamaged(t, err, text, path)
			if got, _ := os.ReadFile(path); string(got) != text {
				t.Errorf("the damaged file was changed to %q", got)
			}
		})
	}
}

func checkDamaged(t *testing.T, err error, text, place string) {
	t.Helper()
	if !errors.Is(err, keyring.ErrDamaged) {
		t.Fatalf("Open: got %v, want ErrDamaged", err)
	}
	if !strings.Contains(err.Error(), place) {
		t.Errorf("the error does not say where: %v", err)
	}
	if s := strings.TrimSpace(text); s != "" && strings.Contains(err.Error(), s) {
		t.Errorf("the error repeats the secret: %v", err)
	}
}

func TestEmptyAndHugeFilesAreDamaged(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 5000} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, keyring.FileName), bytes.Repeat([]byte("A"), size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := keyring.Open(dir, "", nil); !errors.Is(err, keyring.ErrDamaged) {
			t.Errorf("file of %d bytes: got %v, want ErrDamaged", size, err)
		}
	}
}

func TestWithoutRandomnessNothingIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, _, err := keyring.Open(dir, "", bytes.NewReader(master[:31])); err == nil {
		t.Error("Open with 31 random bytes succeeded")
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("the folder holds %v, want nothing", names)
	}
}

func TestAFileThatOthersMayReadIsUsedWithAWarning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if w := open(t, dir, "").Warnings(); len(w) != 0 {
		t.Errorf("a new file: warnings %q, want none", w)
	}
	path := filepath.Join(dir, keyring.FileName)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	w := open(t, dir, "").Warnings()
	if len(w) != 1 || !strings.Contains(w[0], "0640") || !strings.Contains(w[0], "chmod 600 "+path) {
		t.Errorf("warnings %q, want one with the mode and the command", w)
	}
}

func TestAGivenSecretBeatsTheFileWithAWarning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inFile := open(t, dir, "")
	text, _ := os.ReadFile(filepath.Join(dir, keyring.FileName))
	if w := open(t, dir, string(text)).Warnings(); len(w) != 0 {
		t.Errorf("the same secret twice: warnings %q, want none", w)
	}
	given := open(t, dir, base64.StdEncoding.EncodeToString(master))
	if given.Fingerprint() == inFile.Fingerprint() {
		t.Error("the file was used")
	}
	if w := given.Warnings(); len(w) != 1 {
		t.Errorf("warnings %q, want one", w)
	}
}

func TestProcessesThatStartTogetherShareOneFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const n = 16
	var wg sync.WaitGroup
	prints, made := make([]string, n), make([]bool, n)
	for i := range n {
		wg.Go(func() {
			k, created, err := keyring.Open(dir, "", nil)
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			prints[i], made[i] = k.Fingerprint(), created
		})
	}
	wg.Wait()
	creators := 0
	for i := range n {
		if prints[i] != prints[0] {
			t.Errorf("fingerprints %q: want one", prints)
		}
		if made[i] {
			creators++
		}
	}
	if creators != 1 {
		t.Errorf("%d made the file, want 1", creators)
	}
}

func TestCreateFileNeverReplaces(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := keyring.CreateFile(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := keyring.CreateFile(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second CreateFile: got %v, want fs.ErrExist", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "one" {
		t.Errorf("the file holds %q, want the first content", got)
	}
}

func TestNothingPrintsTheSecret(t *testing.T) {
	t.Parallel()
	m := open(t, t.TempDir(), base64.StdEncoding.EncodeToString(master))
	k := m.Keyring()
	_ = k.Derive("x")
	holder := struct {
		K *keyring.Keyring
		V keyring.Keyring
		u keyring.Keyring
		M *keyring.Master
		m keyring.Master
	}{k, *k, *k, m, *m}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+verb+verb+"\n", k, *k, m, *m, holder)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "k", k, "v", *k, "h", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "k", k, "v", *k, "h", holder)
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{
		string(master[:4]), hex.EncodeToString(master[:4]), "251 255 1 2", base64.StdEncoding.EncodeToString(master)[:8],
		hex.EncodeToString(k.Derive("x")[:4]),
	} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
			t.Errorf("%q is in the output:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), `"K":"***"`) {
		t.Errorf("JSON without ***:\n%s", out.String())
	}
}
