package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CreateFile makes the file path with content, readable by its owner only. It is there whole or not at all, also
// after a power failure, and an existing file is left as it is: that is fs.ErrExist. It makes the folder too.
func CreateFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	temp, err := writeTemp(dir, "."+filepath.Base(path)+"-*", content)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := place(temp, path); err != nil {
		return errors.Join(err, remove(temp))
	}
	if err := remove(temp); err != nil {
		return err
	}
	return syncDir(dir)
}

// ReplaceFile is CreateFile for a file that may be there: it then holds either what it held or content, as a whole.
func ReplaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	temp, err := writeTemp(dir, "."+filepath.Base(path)+"-*", content)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, remove(temp))
	}
	return syncDir(dir)
}

// writeTemp returns the name of a new file that holds content, on disk. os.CreateTemp gives it mode 0600.
func writeTemp(dir, pattern string, content []byte) (string, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, remove(f.Name()))
	}
	return f.Name(), nil
}

// place gives temp the name path unless a file has it. Only a hard link can do that in one step; where the file system
// has none, two processes that start at the very same moment could replace each other's file.
func place(temp, path string) error {
	err := os.Link(temp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
		}
		return err
	}
	return os.Rename(temp, path)
}

// remove deletes a file that may be gone already.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir writes the names in dir to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
