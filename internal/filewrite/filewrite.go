// Package filewrite creates files that belong together: all of them or none, each with its whole content.
package filewrite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file to write.
type File struct {
	Path    string
	Content []byte
	Mode    fs.FileMode // whatever the umask is
}

// Create writes all of the files, or none if one of them exists; the error is then fs.ErrExist. The directories must exist.
func Create(files ...File) error {
	return write(files, create, os.Remove)
}

// Replace writes the files, and keeps those that were there as PATH.old.
func Replace(files ...File) error {
	return write(files, replace, restore)
}

// write has the whole content of every file on the disk before the first one gets its name.
func write(files []File, publish func(temporary, path string) error, undo func(path string) error) error {
	temporary := make([]string, len(files))
	defer func() {
		for _, name := range temporary {
			_ = os.Remove(name)
		}
	}()
	for i, f := range files {
		var err error
		if temporary[i], err = writeTemporary(f); err != nil {
			return err
		}
	}
	for i, f := range files {
		if err := publish(temporary[i], f.Path); err != nil {
			for _, published := range files[:i] {
				if undone := undo(published.Path); undone != nil {
					err = errors.Join(err, undone)
				}
			}
			return err
		}
	}
	return nil
}

func writeTemporary(f File) (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(f.Path), filepath.Base(f.Path)+"-*")
	if err != nil {
		return "", err
	}
	_, err = file.Write(f.Content)
	return file.Name(), errors.Join(err, file.Chmod(f.Mode), file.Sync(), file.Close())
}

// create fails if there is a file of that name, as renaming would not.
func create(temporary, path string) error {
	if err := os.Link(temporary, path); err != nil {
		return &fs.PathError{Op: "create", Path: path, Err: errors.Unwrap(err)}
	}
	return nil
}

const oldSuffix = ".old"

func replace(temporary, path string) error {
	old := path + oldSuffix
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(temporary, path)
}

func restore(path string) error {
	err := os.Rename(path+oldSuffix, path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Remove(path)
	}
	return err
}
