package plan

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
)

// Validate checks everything about the plan that needs no look at the disk. The error names the entry, what is
// wrong with it, and what to do.
func (p *Plan) Validate() error {
	if p.SchemaVersion != SchemaVersion {
		return fmt.Errorf("schemaVersion is %d; this program reads version %d only", p.SchemaVersion, SchemaVersion)
	}
	if p.Epoch == nil || *p.Epoch < 0 || *p.Epoch > MaxEpoch {
		return fmt.Errorf("epoch must be given, in seconds from 0 to %d", int64(MaxEpoch))
	}
	if err := p.validateCompression(); err != nil {
		return err
	}
	if p.Entries == nil {
		return fmt.Errorf("entries must be given; an empty layer has an empty list")
	}
	seen := make(map[string]*Entry, len(p.Entries))
	for i := range p.Entries {
		e := &p.Entries[i]
		if err := validatePath(e.Path); err != nil {
			return fmt.Errorf("entry %d (%q): %w", i, e.Path, err)
		}
		if i > 0 {
			if before := p.Entries[i-1].Path; before == e.Path {
				return fmt.Errorf("entry %q: listed twice; list every path once", e.Path)
			} else if before > e.Path {
				return fmt.Errorf("entry %q: stands after %q; sort entries by the bytes of their paths", e.Path, before)
			}
		}
		if err := e.validate(seen); err != nil {
			return fmt.Errorf("entry %q: %w", e.Path, err)
		}
		seen[e.Path] = e
	}
	return nil
}

func (p *Plan) validateCompression() error {
	levels := 0
	switch p.Compression {
	case Zstd:
		levels = 4
	case Gzip:
		levels = 9
	case None:
		return nil
	default:
		return fmt.Errorf("compression is %q; it is one of zstd, gzip, none", p.Compression)
	}
	if p.Level < 1 || p.Level > levels {
		return fmt.Errorf("level is %d; %s has levels 1 to %d", p.Level, p.Compression, levels)
	}
	if p.FrameBytes < MinFrameBytes || p.FrameBytes > MaxFrameBytes {
		return fmt.Errorf("frameBytes is %d; a frame has %d to %d bytes", p.FrameBytes, MinFrameBytes, MaxFrameBytes)
	}
	return nil
}

// validate checks one entry, given all entries before it.
func (e *Entry) validate(before map[string]*Entry) error {
	if err := validateParents(e.Path, before); err != nil {
		return err
	}
	if err := validateWhiteout(e, before); err != nil {
		return err
	}
	if err := e.validateFields(); err != nil {
		return err
	}
	switch e.Type {
	case File:
		return e.validateContents()
	case Symlink:
		return validateTarget(*e.Target)
	case Hardlink:
		switch target := before[*e.Target]; {
		case target == nil:
			return fmt.Errorf("hardlink to %q, which is no earlier entry; list the target before it", *e.Target)
		case target.Type == Dir || isWhiteout(target.Path):
			return fmt.Errorf("hardlink to %q, which is a folder or a whiteout; link to something else", *e.Target)
		}
	case Char, Block:
		if *e.Major < 0 || *e.Major > MaxMajor || *e.Minor < 0 || *e.Minor > MaxMinor {
			return fmt.Errorf("device %d:%d is out of range; Linux has majors to %d and minors to %d",
				*e.Major, *e.Minor, MaxMajor, MaxMinor)
		}
		if e.Type == Char && *e.Major == 0 && *e.Minor == 0 {
			return fmt.Errorf("char device 0:0 is overlayfs's whiteout; use a file named .wh.<name>")
		}
	}
	return nil
}

// validateContents checks that a file says once where its bytes come from.
func (e *Entry) validateContents() error {
	switch {
	case (e.Source == nil) == (e.Content == nil):
		return fmt.Errorf("a file has either source or content; give exactly one of them")
	case e.Source != nil:
		if !filepath.IsAbs(*e.Source) || filepath.Clean(*e.Source) != *e.Source {
			return fmt.Errorf("source %q is not a clean absolute path; resolve it first", *e.Source)
		}
	default:
		if _, err := base64.StdEncoding.Strict().DecodeString(*e.Content); err != nil {
			return fmt.Errorf("content is not base64 (%w); encode it with the standard alphabet and padding", err)
		}
	}
	return nil
}
