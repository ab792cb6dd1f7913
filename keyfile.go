package immichaccess

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	maxKeyFile   = 4 << 20     // bytes; some 40,000 keys, which take Yaegi 3 s to read
	lookInterval = time.Second // between two looks at the file
	maxLooks     = 3           // at a file that is different each time
)

// keyFile is a file with keys, which add to those of the configuration.
type keyFile struct {
	path   string
	inline *keySet
	read   os.FileInfo // the version whose content was read, good or bad
	seen   os.FileInfo // the version at the last look, if it was another
	looks  int         // since it has been another
	told   string      // the last error
}

// changed returns the keys if the file has changed, nil if it has not, and each error once. While an editor may still be
// writing, which shows in two looks that differ, it has not changed.
func (f *keyFile) changed() (*keySet, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.seen = nil // not in one assignment with the next: Yaegi would panic, and with it Traefik would end
		f.looks = 0
		return nil, f.once(err)
	}
	if f.read != nil && sameVersion(f.read, info) {
		f.looks = 0
		return nil, nil
	}
	f.looks++
	settled := f.seen != nil && sameVersion(f.seen, info)
	f.seen = info
	if !settled && f.looks < maxLooks {
		return nil, nil
	}
	f.looks = 0
	set, err := f.load()
	return set, f.once(err)
}

// once forgets an error that it has returned before.
func (f *keyFile) once(err error) error {
	text := fmt.Sprint(err)
	if text == f.told {
		return nil
	}
	f.told = text
	return err
}

func sameVersion(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// load reads the file. What can't be read, is read again at the next look.
func (f *keyFile) load() (*keySet, error) {
	info, text, err := readKeyFile(f.path)
	if err != nil {
		return nil, err
	}
	f.read = info
	return f.parse(text)
}

func (f *keyFile) parse(text string) (*keySet, error) {
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

func readKeyFile(path string) (os.FileInfo, string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if !info.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, "", err
	}
	if len(text) > maxKeyFile {
		return nil, "", fmt.Errorf("%s is larger than 4 MiB", path)
	}
	return info, strings.TrimPrefix(string(text), "\ufeff"), nil // Windows' editors begin with a byte order mark
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
