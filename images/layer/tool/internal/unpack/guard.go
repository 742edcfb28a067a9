package unpack

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// refusal is the reason not to unpack an entry of a tar stream.
type refusal struct{ entry, reason string }

func (r refusal) Error() string { return fmt.Sprintf("entry %q %s", r.entry, r.reason) }

// maxLinks is how many symlinks a path may go through, as in Linux.
const maxLinks = 40

// guard refuses entries that try to get out of root. containerd's Apply keeps them inside by itself: it would put
// them somewhere in root, as if root were "/". Honest images have no such entries, so they are an error here.
// Absolute names and absolute symlinks mean the image's own root and are fine.
type guard struct{ root string }

// check is an archive.Filter: it accepts the entry or says why not.
func (g guard) check(hdr *tar.Header) (bool, error) {
	if err := g.follow(hdr.Name); err != nil {
		return false, err
	}
	if hdr.Typeflag == tar.TypeLink {
		if err := g.follow(hdr.Linkname); err != nil {
			return false, refusal{hdr.Name, fmt.Sprintf("is a hardlink, and its target is refused: %v", err)}
		}
	}
	return true, nil
}

// follow resolves the folder of name inside root, and refuses a name that climbs above root on its way.
func (g guard) follow(name string) error {
	rest := strings.Split(name, "/")
	var at []string
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return refusal{name, "leads out of the image"}
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at, part)
		if len(rest) == 0 {
			break // the entry itself is replaced, not followed
		}
		target, err := os.Readlink(filepath.Join(g.root, filepath.Join(at...)))
		if err != nil {
			continue // no symlink
		}
		if links++; links > maxLinks {
			return refusal{name, "goes through too many symlinks"}
		}
		at = at[:len(at)-1]
		if filepath.IsAbs(target) {
			at = nil
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}
