package immichaccess

import (
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
	seen   os.FileInfo // of the last read, good or bad; nil when the file was not to be found
}

func openKeyFile(path string, inline *keySet) *keyFile {
	seen, _ := os.Stat(path) // before the first read, which tells of an error
	return &keyFile{path: path, inline: inline, seen: seen}
}

// changed returns the keys if the file has changed, nil if it has not, and an error once for each change for the worse.
func (f *keyFile) changed() (*keySet, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, f.missing(err)
	}
	if f.seen != nil && sameVersion(f.seen, info) || !settled(info) {
		return nil, nil
	}
	f.seen = info
	return f.read()
}

func (f *keyFile) missing(err error) error {
	if f.seen == nil {
		return nil
	}
	f.seen = nil
	return err
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
