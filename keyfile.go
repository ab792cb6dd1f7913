package immichaccess

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	maxKeyFile   = 16 << 20    // bytes; some 150,000 keys
	lookInterval = time.Second // between two looks at the file
	settleTime   = time.Second // a file that was written less than this ago may not be complete
)

// keyFile is a file with keys, which add to those of the configuration.
type keyFile struct {
	path   string
	inline *keySet
	ring   *keyring
	seen   os.FileInfo // of the last read, good or bad; nil when the file was not to be found
}

// followKeyFile returns the keys of the file and inline, and publishes them anew when the file changes, until ctx is done.
// Traefik ends the context of New when it reloads.
func followKeyFile(ctx context.Context, path string, inline *keySet, ring *keyring, errs *problems) *keySet {
	f := &keyFile{path: path, inline: inline, ring: ring}
	f.seen, _ = os.Stat(path) // before the read, so that no change is missed; read tells of an error
	set, err := f.read()
	if err != nil {
		errs.add("keysFile", "%v", err)
		return inline
	}
	time.AfterFunc(lookInterval, func() { f.follow(ctx) })
	return set
}

// follow looks, and comes back later. A timer, and no goroutine that waits, so that there is nothing to stop.
func (f *keyFile) follow(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	f.look()
	time.AfterFunc(lookInterval, func() { f.follow(ctx) })
}

func (f *keyFile) look() {
	info, err := os.Stat(f.path)
	if err != nil {
		f.missing(err)
		return
	}
	if f.seen != nil && sameVersion(f.seen, info) || !settled(info) {
		return
	}
	f.seen = info
	set, err := f.read()
	if err != nil {
		f.keep(err)
		return
	}
	f.ring.publish(set)
	f.ring.deny.warn(fmt.Sprintf("keysFile: %s has changed; there are %d keys now", f.path, len(set.byDigest)))
}

func (f *keyFile) missing(err error) {
	if f.seen != nil {
		f.keep(err)
	}
	f.seen = nil
}

func (f *keyFile) keep(err error) {
	f.ring.deny.warn(fmt.Sprintf("keysFile: %v; the keys stay as they were", err))
}

func sameVersion(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// settled is false while an editor may still be writing. A time in the future is a clock that is wrong, not an editor.
func settled(info os.FileInfo) bool {
	age := time.Since(info.ModTime())
	return age < 0 || age >= settleTime
}

func (f *keyFile) read() (*keySet, error) {
	text, err := readKeyFile(f.path)
	if err != nil {
		return nil, err
	}
	set := f.inline.copy()
	for i, line := range strings.Split(text, "\n") {
		line = withoutComment(line)
		if line == "" {
			continue
		}
		if err := set.add(line); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", f.path, i+1, err)
		}
	}
	return set, nil
}

func readKeyFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxKeyFile {
		return "", fmt.Errorf("%s is larger than 16 MiB", path)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil // Windows' editors begin with a byte order mark
}

// withoutComment ends a line at a "#" that begins a word.
func withoutComment(line string) string {
	fields := strings.Fields(line)
	for i, field := range fields {
		if strings.HasPrefix(field, "#") {
			fields = fields[:i]
			break
		}
	}
	return strings.Join(fields, " ")
}
