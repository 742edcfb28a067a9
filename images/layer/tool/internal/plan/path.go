package plan

import (
	"fmt"
	"path"
	"strings"
)

// whiteoutPrefix and opaqueWhiteout are from
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts.
const (
	whiteoutPrefix = ".wh."
	opaqueWhiteout = ".wh..wh..opq"
)

// validatePath checks the spelling of an entry's path, or of a hardlink's target.
func validatePath(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("the path is empty; the root itself is not listed")
	case strings.HasPrefix(p, "/"):
		return fmt.Errorf("the path is absolute; paths are relative to the root of the image")
	case len(p) > MaxPathBytes:
		return fmt.Errorf("the path has %d bytes; Linux has at most %d", len(p), MaxPathBytes)
	case strings.ContainsAny(p, "\x00\uFFFD"):
		return fmt.Errorf("the path has a NUL, or is not UTF-8; choose another name")
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "":
			return fmt.Errorf("the path has an empty component; write it without '//' and without a slash at the end")
		case part == "." || part == "..":
			return fmt.Errorf("the path has a component %q; write it resolved", part)
		case len(part) > MaxNameBytes:
			return fmt.Errorf("the path has a component of %d bytes; Linux has at most %d", len(part), MaxNameBytes)
		}
	}
	return nil
}

// validateParents checks that the folder of p is an earlier entry. That entry had the same check, so all are.
func validateParents(p string, before map[string]*Entry) error {
	parent := path.Dir(p)
	if parent == "." {
		return nil
	}
	switch e := before[parent]; {
	case e == nil:
		return fmt.Errorf("its folder %q is not listed before it; list every folder as a dir", parent)
	case e.Type != Dir:
		return fmt.Errorf("its folder %q is listed as a %s; list the path behind the link", parent, e.Type)
	}
	return nil
}

// validateTarget checks what a symlink says. It may point anywhere, also to nothing.
func validateTarget(target string) error {
	if target == "" || len(target) > MaxPathBytes || strings.ContainsAny(target, "\x00\uFFFD") {
		return fmt.Errorf("symlink to %q; a target has 1 to %d bytes of UTF-8 and no NUL", target, MaxPathBytes)
	}
	return nil
}

func isWhiteout(p string) bool { return strings.HasPrefix(path.Base(p), whiteoutPrefix) }

// validateWhiteout checks names that begin with ".wh.": all of them are reserved, and whatever such an entry holds
// would be lost when the layer is unpacked. A whiteout beside the path that it hides is refused too: the
// specification lets it hide lower layers only, but what unpackers do depends on the order of the two.
func validateWhiteout(e *Entry, before map[string]*Entry) error {
	dir, name := path.Split(e.Path)
	if !isWhiteout(name) {
		if before[dir+whiteoutPrefix+name] != nil {
			return fmt.Errorf("its whiteout is in the same layer; list one of the two")
		}
		return nil
	}
	if hidden := dir + strings.TrimPrefix(name, whiteoutPrefix); before[hidden] != nil {
		return fmt.Errorf("a whiteout of %q, which is in the same layer; list one of the two", hidden)
	}
	switch hidden := strings.TrimPrefix(name, whiteoutPrefix); {
	case name == opaqueWhiteout:
	case hidden == "" || hidden == "." || hidden == ".." || strings.HasPrefix(hidden, whiteoutPrefix):
		return fmt.Errorf("a whiteout of %q; it hides a plain name, or is named %s", hidden, opaqueWhiteout)
	}
	if e.Type != File || e.Content == nil || *e.Content != "" || e.Xattrs != nil {
		return fmt.Errorf("names with %s are whiteouts; a whiteout is a file with empty content and no xattrs", whiteoutPrefix)
	}
	return nil
}
