package sibling

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/contract"
)

// prepareFolders makes the engine's folders, which clear has emptied, and the files of its contract.
func prepareFolders(at place, files map[string]string) error {
	for _, folder := range []string{at.state, at.tmp, at.run, at.rootfs} {
		if err := os.MkdirAll(folder, 0o711); err != nil {
			return err
		}
	}
	touch(at.state)
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

// writeNames gives the files that an engine finds hosts by: the runner's own, or ones with what the owner wants.
func (h *Host) writeNames(at place) (names, error) {
	hosts, err := ownOr(filepath.Join(at.run, "hosts"), "/etc/hosts", h.Owner.ExtraHosts)
	if err != nil {
		return names{}, err
	}
	if conf := h.Owner.DNS.ResolvConf(); conf != "" {
		path := filepath.Join(at.run, "resolv.conf")
		return names{hosts: hosts, resolvConf: path}, os.WriteFile(path, []byte(conf), 0o644)
	}
	resolvConf, err := ownOr(filepath.Join(at.run, "resolv.conf"), "/etc/resolv.conf", "")
	return names{hosts: hosts, resolvConf: resolvConf}, err
}

// makeNetwork makes the engine's bridge, when the owner wants one.
func (h *Host) makeNetwork(entry catalog.Entry, at place) error {
	if h.Owner.Engine(entry.Kind, entry.Version).Network != contract.BridgeNetwork {
		return nil
	}
	conflist, err := h.Bridges.Make(entry.ID())
	if err != nil {
		return fmt.Errorf("network of builds: %w", err)
	}
	return os.WriteFile(at.networkConfig, conflist, 0o644)
}

// ownOr gives the runner's own file when there is nothing to add, else one at path that has both.
func ownOr(path, own, added string) (string, error) {
	text, err := os.ReadFile(own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err == nil && added == "" {
		return own, nil
	}
	return path, os.WriteFile(path, []byte(string(text)+added), 0o644)
}
