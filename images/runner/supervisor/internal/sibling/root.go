package sibling

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// prepareFolders makes the engine's folders, which clear has emptied, and the files of its contract.
func prepareFolders(at place, files map[string]string) error {
	for _, folder := range []string{at.state, at.tmp, at.run, at.rootfs} {
		if err := os.MkdirAll(folder, 0o711); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(at.run, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return os.Chmod(at.tmp, 0o777|fs.ModeSticky)
}

// prepareRoot puts the base paths that are symbolic links (/bin -> usr/bin) into a baked engine's root. All else in it
// is a mount, whose mount point runc makes.
func prepareRoot(rootfs string, basePaths []string) error {
	for _, path := range basePaths {
		target, err := os.Readlink(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("runner.json: basePaths: %s is not in the image", path)
		}
		if err != nil {
			continue // not a link: a mount
		}
		link := filepath.Join(rootfs, path)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, link); err != nil {
			return err
		}
	}
	return nil
}
