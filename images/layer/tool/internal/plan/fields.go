package plan

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// uses says which of the optional keys each type has: 'y' must be there, 'm' may be, absent may not.
//
// A hardlink has none of its target's attributes: they are one file's, and the header repeats the target's.
var uses = map[Type]map[string]byte{
	File:     {"mode": 'y', "source": 'm', "content": 'm', "uid": 'm', "gid": 'm', "xattrs": 'm'},
	Dir:      {"mode": 'y', "uid": 'm', "gid": 'm', "xattrs": 'm'},
	Symlink:  {"target": 'y', "uid": 'm', "gid": 'm', "xattrs": 'm'},
	Hardlink: {"target": 'y'},
	Char:     {"mode": 'y', "major": 'y', "minor": 'y', "uid": 'm', "gid": 'm', "xattrs": 'm'},
	Block:    {"mode": 'y', "major": 'y', "minor": 'y', "uid": 'm', "gid": 'm', "xattrs": 'm'},
	Fifo:     {"mode": 'y', "uid": 'm', "gid": 'm', "xattrs": 'm'},
}

// validateFields checks that the keys an entry has are those of its type, and the range of each.
func (e *Entry) validateFields() error {
	use, known := uses[e.Type]
	if !known {
		return fmt.Errorf("type is %q; it is one of file, dir, symlink, hardlink, char, block, fifo", e.Type)
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"mode", e.Mode != nil}, {"source", e.Source != nil}, {"content", e.Content != nil},
		{"target", e.Target != nil}, {"uid", e.UID != nil}, {"gid", e.GID != nil},
		{"major", e.Major != nil}, {"minor", e.Minor != nil}, {"xattrs", e.Xattrs != nil},
	} {
		if f.given && use[f.name] == 0 {
			return fmt.Errorf("a %s has no %s; leave it out", e.Type, f.name)
		}
		if !f.given && use[f.name] == 'y' {
			return fmt.Errorf("a %s needs %s; give it", e.Type, f.name)
		}
	}
	if e.Mode != nil && (*e.Mode < 0 || *e.Mode > 0o7777) {
		return fmt.Errorf("mode is %d; give permission bits only, 0 to 4095 (0o7777)", *e.Mode)
	}
	for name, id := range map[string]*int{"uid": e.UID, "gid": e.GID} {
		if id != nil && (*id < 0 || *id > MaxID) {
			return fmt.Errorf("%s is %d; it goes from 0 to %d", name, *id, MaxID)
		}
	}
	for _, name := range e.XattrNames() {
		if err := validateXattr(e.Type, name, e.Xattrs[name]); err != nil {
			return err
		}
	}
	return nil
}

// XattrNames are the names of the entry's extended attributes in byte-wise order.
func (e *Entry) XattrNames() []string {
	names := make([]string, 0, len(e.Xattrs))
	for name := range e.Xattrs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// validateXattr refuses what the PAX record SCHILY.xattr.<name> cannot carry, and what an unpacker leaves out
// without a word: trusted.*, and user.* on anything but files and folders (xattr(7)).
func validateXattr(t Type, name, value string) error {
	if len(name) > MaxNameBytes || strings.ContainsAny(name, "\x00=\uFFFD") {
		return fmt.Errorf("xattr %q is no name that a layer can carry; it has at most %d bytes, no NUL and no '='", name, MaxNameBytes)
	}
	space, rest, _ := strings.Cut(name, ".")
	switch {
	case rest == "" || space != "security" && space != "user" && space != "system":
		return fmt.Errorf("xattr %q is in no namespace that unpacking restores; use security.*, system.* or user.*", name)
	case space == "user" && t != File && t != Dir:
		return fmt.Errorf("xattr %q on a %s; Linux has user.* on files and folders only", name, t)
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(value); err != nil {
		return fmt.Errorf("xattr %q is not base64 (%w); encode it with the standard alphabet and padding", name, err)
	}
	return nil
}
