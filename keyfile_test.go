package immichaccess

import (
	"context"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
)

func TestKeyFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string // the names, besides that of the configuration
	}{
		"empty":                {"", nil},
		"comments only":        {"# nobody\n\n  # really nobody", nil},
		"one line":             {"phone:" + rightKey, []string{"phone"}},
		"several":              {"phone:" + rightKey + "\n\ntablet:" + otherKey + " methods=GET\n", []string{"phone", "tablet"}},
		"CRLF":                 {"phone:" + rightKey + "\r\n\r\n# no\r\ntablet:" + otherKey + " expires=2999-12-31\r\n", []string{"phone", "tablet"}},
		"byte order mark":      {"\ufeffphone:" + rightKey + "\n", []string{"phone"}},
		"comment after a mark": {"\ufeff# keys\nphone:" + rightKey + "\n", []string{"phone"}},
		"comments after keys":  {"phone:" + rightKey + " # Käthe's\ntablet:" + otherKey + " expires=2999-12-31 #soon, or\tnot\n", []string{"phone", "tablet"}},
		"blanks around":        {"\t phone:" + rightKey + " \t\n", []string{"phone"}},
		"no names":             {rightKey + "\n" + otherKey + "\n", []string{"key1", "key2"}},
		"as large as can be":   {"phone:" + rightKey + "\n#" + strings.Repeat("x", maxKeyFile-len("phone:"+rightKey)-2), []string{"phone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := &Config{Keys: []string{"inline:" + inlineKey}, KeysFile: newFile(t, c.text)}
			s, err := parse(config, "test")
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Sorted(slices.Values(append(c.want, "inline")))
			if got := slices.Sorted(maps.Keys(s.keys.byName)); !slices.Equal(got, want) {
				t.Errorf("the keys are %v, want %v", got, want)
			}
		})
	}
}

func TestKeyMayHoldNumberSign(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, &Config{KeysFile: newFile(t, "phone:"+rightKey+"#1 # comment\n")}, &recorder{})
	wantAccess(t, handler, rightKey+"#1", true)
	wantAccess(t, handler, rightKey, false)
}

// Entries without a name continue the numbering of those in the configuration.
func TestNamesOfKeyFile(t *testing.T) {
	t.Parallel()
	next := &recorder{}
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, KeysFile: newFile(t, otherKey), KeyNameHeader: "X-Key-Name"}, next)
	for key, want := range map[string]string{rightKey: "key1", otherKey: "key2"} {
		wantAccess(t, handler, key, true)
		if got := next.r.Header.Get("X-Key-Name"); got != want {
			t.Errorf("the name is %q, want %q", got, want)
		}
	}
}

func TestWrongKeyFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file func(t *testing.T) string
		want string
	}{
		"missing":             {func(t *testing.T) string { return filepath.Join(t.TempDir(), "keys") }, "no such file"},
		"missing folder":      {func(t *testing.T) string { return filepath.Join(t.TempDir(), "a", "keys") }, "no such file"},
		"link to nowhere":     {linkToNowhere, "no such file"},
		"folder":              {func(t *testing.T) string { return t.TempDir() }, "is not a regular file"},
		"device without end":  {func(*testing.T) string { return "/dev/zero" }, "is not a regular file"},
		"pipe":                {pipe, "is not a regular file"},
		"socket":              {socket, "is not a regular file"},
		"huge":                {huge, "is larger than 4 MiB"},
		"all bytes":           {allBytes, "line 1: the secret has a character"},
		"UTF-16":              {fileOf("\xff\xfep\x00:\x00s\x00\n\x00"), "line 1: the text before the first colon is not a name"},
		"picture":             {fileOf("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "line 1: the secret has a character"},
		"third line":          {fileOf("# keys\nphone:" + rightKey + "\ntablet:" + otherKey + " forever\n"), `line 3: "tablet": attribute 1: unknown attribute`},
		"binary attribute":    {fileOf("phone:" + rightKey + " expires=\x1b[2J\x00\n"), "line 1: "},
		"name twice":          {fileOf("phone:" + rightKey + "\nphone:" + otherKey + "\n"), `line 2: the name "phone" is taken`},
		"inline name":         {fileOf("inline:" + rightKey + "\n"), `line 1: the name "inline" is taken`},
		"inline secret":       {fileOf("phone:" + inlineKey + "\n"), `line 1: "phone" has the same secret as "inline"`},
		"comment in one word": {fileOf("phone:" + rightKey + " methods=GET#HEAD\n"), "is not a method"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := c.file(t)
			config := Config{Keys: []string{"inline:" + inlineKey}, KeysFile: path}
			wantWrong(t, config, "keysFile", path, c.want)
			if err := newError(t, config); strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("the error has control characters: %q", err)
			}
		})
	}
}

func TestKeyFileWithoutKeys(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "comments": "# phone:" + rightKey + "\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{KeysFile: newFile(t, text)}, "requireKey", "there is no key")
		})
	}
}

func TestKeyFileWithUnusedKeys(t *testing.T) {
	path := newFile(t, "phone:"+rightKey)
	lines := logLines(func() { newTestHandler(t, &Config{RequireKey: "false", KeysFile: path}, &recorder{}) })
	wantLines(t, lines, "requireKey is false")
}

func newFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, text, time.Now())
	return path
}

// write sets the time too, because the clock of synctest is not that of the file system.
func write(t *testing.T, path, text string, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func fileOf(text string) func(t *testing.T) string {
	return func(t *testing.T) string { return newFile(t, text) }
}

func allBytes(t *testing.T) string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return newFile(t, strings.Repeat(string(all), 100))
}

func huge(t *testing.T) string {
	path := newFile(t, "phone:"+rightKey)
	if err := os.Truncate(path, maxKeyFile+1); err != nil {
		t.Fatal(err)
	}
	return path
}

func linkToNowhere(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.Symlink("nowhere", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func pipe(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "keys")
	if out, err := exec.Command("mkfifo", path).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v: %s", err, out)
	}
	return path
}

func socket(t *testing.T) string {
	dir, err := os.MkdirTemp("", "keys") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "keys")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return path
}

// The documented 5 s, with the real clock and file system.
func TestKeyFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("phone:"+rightKey), 0o600); err != nil {
		t.Fatal(err)
	}
	handler := newTestHandler(t, &Config{KeysFile: path}, &recorder{})
	wantAccess(t, handler, rightKey, true)
	if err := os.WriteFile(path, []byte("phone:"+otherKey), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ask(handler, withKey(otherKey)).Code != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new key does not work after 5 s")
		}
	}
	wantAccess(t, handler, rightKey, false)
}

const (
	inlineKey = "the-key-in-the-configuration"
	// betweenPolls keeps an edit, which takes no time in synctest, from coinciding with a poll.
	betweenPolls = time.Minute + pollInterval/2
)

// What works and what does not 5 s after a change, and what is logged within a minute.
func TestKeyFileChanges(t *testing.T) {
	const before, after = "phone:" + rightKey + "\n", "phone:" + otherKey + "!!!!\n"
	edit := func(t *testing.T, path, text string) { write(t, path, text, time.Now()) }
	for name, c := range map[string]struct {
		change  func(t *testing.T, path string)
		works   []string
		revoked []string
		log     []string
	}{
		"nothing": {func(*testing.T, string) {}, []string{rightKey}, []string{otherKey}, nil},
		"another key": {
			func(t *testing.T, path string) { edit(t, path, "phone:"+otherKey) },
			[]string{otherKey}, []string{rightKey}, []string{"has changed; there are 2 keys now"},
		},
		"one more key": {
			func(t *testing.T, path string) { edit(t, path, before+"tablet:"+otherKey) },
			[]string{rightKey, otherKey}, nil, []string{"has changed; there are 3 keys now"},
		},
		"replaced by another of the same size and age": {
			func(t *testing.T, path string) { replace(t, path, after[:len(before)-1]+"\n") },
			[]string{after[len("phone:") : len(before)-1]}, []string{rightKey}, []string{"has changed"},
		},
		"edited to the same size": {
			func(t *testing.T, path string) { edit(t, path, after[:len(before)-1]+"\n") },
			[]string{after[len("phone:") : len(before)-1]}, []string{rightKey}, []string{"has changed"},
		},
		"edited within a tick of the disk's clock": {
			func(t *testing.T, path string) { write(t, path, before+"tablet:"+otherKey, modified(t, path)) },
			[]string{rightKey, otherKey}, nil, []string{"has changed"},
		},
		"restored with an older time": {
			func(t *testing.T, path string) { write(t, path, "phone:"+otherKey, time.Now().AddDate(-1, 0, 0)) },
			[]string{otherKey}, []string{rightKey}, []string{"has changed"},
		},
		"written with a clock that is ahead": {
			func(t *testing.T, path string) { write(t, path, "phone:"+otherKey, time.Now().AddDate(1, 0, 0)) },
			[]string{otherKey}, []string{rightKey}, []string{"has changed"},
		},
		"emptied": {
			func(t *testing.T, path string) { edit(t, path, "") },
			nil, []string{rightKey, otherKey}, []string{"has changed; there are 1 keys now"},
		},
		"expired": {
			func(t *testing.T, path string) { edit(t, path, "phone:"+rightKey+" expires=1999-12-31") },
			nil, []string{rightKey}, []string{"keys that have expired: phone", "has changed"},
		},
		"restricted": {
			func(t *testing.T, path string) { edit(t, path, "phone:"+rightKey+" methods=POST") },
			nil, []string{rightKey}, []string{"has changed"},
		},
		"broken": {
			func(t *testing.T, path string) { edit(t, path, "tablet:"+otherKey+"\nphone:"+rightKey+" forever") },
			[]string{rightKey}, []string{otherKey}, []string{"line 2: \"phone\": attribute 1: unknown attribute; allowed are expires=2027-01-31 and methods=GET,HEAD; the keys stay as they were"},
		},
		"broken by an inline name": {
			func(t *testing.T, path string) { edit(t, path, "inline:"+otherKey) },
			[]string{rightKey}, []string{otherKey}, []string{"the keys stay as they were"},
		},
		"broken and corrected": {
			func(t *testing.T, path string) {
				edit(t, path, "tablet:")
				time.Sleep(10 * time.Second)
				edit(t, path, "tablet:"+otherKey)
			},
			[]string{otherKey}, []string{rightKey}, []string{"the keys stay as they were", "has changed"},
		},
		"broken twice": {
			func(t *testing.T, path string) {
				edit(t, path, "tablet:")
				time.Sleep(10 * time.Second)
				edit(t, path, "tablet :")
			},
			[]string{rightKey}, nil, []string{"the keys stay as they were", "the keys stay as they were"},
		},
		"deleted": {
			func(t *testing.T, path string) { remove(t, path) },
			[]string{rightKey}, []string{otherKey}, []string{"no such file or directory; the keys stay as they were"},
		},
		"deleted and restored": {
			func(t *testing.T, path string) {
				remove(t, path)
				time.Sleep(10 * time.Second)
				edit(t, path, "phone:"+otherKey)
			},
			[]string{otherKey}, []string{rightKey}, []string{"the keys stay as they were", "has changed"},
		},
		"replaced by a folder": {
			func(t *testing.T, path string) {
				remove(t, path)
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
					t.Fatal(err)
				}
			},
			[]string{rightKey}, nil, []string{"is not a regular file; the keys stay as they were"},
		},
		"saved by a slow editor": {
			func(t *testing.T, path string) {
				for range 5 {
					edit(t, path, "phone:")
					time.Sleep(310 * time.Millisecond)
				}
				edit(t, path, "phone:"+otherKey)
			},
			[]string{otherKey}, []string{rightKey}, []string{"has changed"},
		},
		"edited at once, and then slowly": {
			func(t *testing.T, path string) {
				edit(t, path, before+"tablet:"+otherKey)
				time.Sleep(10 * time.Second)
				edit(t, path, "phone:")
				time.Sleep(pollInterval)
				edit(t, path, "phone:"+otherKey)
			},
			[]string{otherKey}, []string{rightKey}, []string{"has changed", "has changed"},
		},
		"deleted while it is edited, and then edited slowly": {
			func(t *testing.T, path string) {
				edit(t, path, "phone:")
				time.Sleep(pollInterval)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				for _, text := range []string{"phone:", "phone: ", "phone:" + otherKey} {
					time.Sleep(pollInterval)
					edit(t, path, text)
				}
			},
			[]string{otherKey}, []string{rightKey}, []string{"no such file", "has changed"},
		},
		"deleted for a while, and then edited slowly": {
			func(t *testing.T, path string) {
				beFolder(t, path)
				if err := os.Rename(path+".old", path); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				edit(t, path, "")
				time.Sleep(pollInterval)
				edit(t, path, "phone:"+otherKey)
			},
			[]string{otherKey}, []string{rightKey}, []string{"is not a regular file", "has changed"},
		},
		"a folder for a while": {
			func(t *testing.T, path string) {
				beFolder(t, path)
				edit(t, path, "phone:"+otherKey)
			},
			[]string{otherKey}, []string{rightKey}, []string{"is not a regular file", "has changed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			lines := logLines(func() {
				synctest.Test(t, func(t *testing.T) {
					write(t, path, before, time.Now())
					handler := newTestHandler(t, &Config{Keys: []string{"inline:" + inlineKey}, KeysFile: path}, &recorder{})
					time.Sleep(betweenPolls)
					c.change(t, path)
					time.Sleep(5 * time.Second)
					for _, key := range append(c.works, inlineKey) {
						wantAccess(t, handler, key, true)
					}
					for _, key := range c.revoked {
						wantAccess(t, handler, key, false)
					}
					time.Sleep(time.Minute)
				})
			})
			wantLines(t, lines, c.log...)
		})
	}
}

// A file that is written to all the time is read, too.
func TestKeyFileThatKeepsChanging(t *testing.T) {
	path := newFile(t, "phone:"+rightKey)
	logLines(func() {
		synctest.Test(t, func(t *testing.T) {
			handler := newTestHandler(t, &Config{KeysFile: path}, &recorder{})
			time.Sleep(betweenPolls)
			for i := range 16 {
				write(t, path, "phone:"+otherKey+strings.Repeat("\n#", i), time.Now())
				time.Sleep(310 * time.Millisecond)
			}
			wantAccess(t, handler, otherKey, true)
			wantAccess(t, handler, rightKey, false)
		})
	})
}

// replace puts a new file in the place of another, as careful editors do, with the same time.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text, modified(t, path))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// beFolder replaces a file by a folder for a while. Afterwards the file is missing.
func beFolder(t *testing.T, path string) {
	t.Helper()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	remove(t, path)
}

// Traefik cancels the context at a reload, and never uses a handler for which New returned an error.
func TestKeyFileIsNoLongerPolled(t *testing.T) {
	t.Run("context is done", func(t *testing.T) {
		path := newFile(t, "phone:"+rightKey)
		wantLines(t, logLines(func() {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				handler, err := New(ctx, &recorder{}, &Config{KeysFile: path}, "test")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(betweenPolls)
				cancel()
				write(t, path, "phone:"+otherKey, time.Now())
				time.Sleep(time.Minute)
				wantAccess(t, handler, rightKey, true)
				wantAccess(t, handler, otherKey, false)
			})
		}))
	})
	t.Run("other options are wrong", func(t *testing.T) {
		path := newFile(t, "phone:"+rightKey)
		wantLines(t, logLines(func() {
			synctest.Test(t, func(t *testing.T) {
				if _, err := New(t.Context(), &recorder{}, &Config{KeysFile: path, MaxUploadSize: "lots"}, "test"); err == nil {
					t.Fatal("New accepts the options")
				}
				time.Sleep(betweenPolls)
				write(t, path, "phone:"+otherKey, time.Now())
				time.Sleep(time.Minute)
			})
		}))
	})
}
