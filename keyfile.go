package immichaccess

import (
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	maxKeyFile   = 4 << 20     // bytes; some 40,000 keys, which take Yaegi 3 s to read
	pollInterval = time.Second // between two polls of the file
	maxPolls     = 3           // of a file that is different each time
)

// keyFile is a file with keys in addition to those of the configuration.
type keyFile struct {
	path     string
	inline   *keySet
	loaded   os.FileInfo // the version whose content was read, valid or not
	pending  os.FileInfo // the version at the last poll, if it was different
	polls    int         // since the file is different
	reported string      // the last error
}

// poll returns the keys if the file has changed, nil if it has not, and each error once. A file that differs between two
// polls may still be being written, and counts as changed when it has settled, or after maxPolls.
func (f *keyFile) poll() (*keySet, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.pending = nil // not in one assignment with the next: Yaegi would panic, and crash Traefik
		f.polls = 0
		return nil, f.once(err)
	}
	if f.loaded != nil && sameVersion(f.loaded, info) {
		f.polls = 0
		return nil, nil
	}
	f.polls++
	settled := f.pending != nil && sameVersion(f.pending, info)
	f.pending = info
	if !settled && f.polls < maxPolls {
		return nil, nil
	}
	f.polls = 0
	set, err := f.load()
	return set, f.once(err)
}

// once returns nil for the error that it returned last.
func (f *keyFile) once(err error) error {
	text := fmt.Sprint(err)
	if text == f.reported {
		return nil
	}
	f.reported = text
	return err
}

func sameVersion(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// load reads the file. If it can't be read, the next poll tries again.
func (f *keyFile) load() (*keySet, error) {
	info, text, err := readRegularFile(f.path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	f.loaded = info
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

// withoutComment cuts a line at a "#" that begins a word.
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
