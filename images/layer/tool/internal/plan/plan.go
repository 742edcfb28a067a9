// Package plan is the input of `bedplate-layer pack`: what is in one layer, in which order, and how it is compressed.
//
// A plan is JSON. It is read strictly, because every byte of it decides a digest: an unknown, misspelt or repeated
// key is refused, and so is every entry that could be read in two ways. The rules for entries follow the OCI image
// specification, https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md.
package plan

// SchemaVersion is the only plan format that this program reads.
const SchemaVersion = 1

// Compression names, as they stand in a plan.
const (
	Zstd = "zstd" // RFC 8878, independent frames
	Gzip = "gzip" // RFC 1952, independent members
	None = "none" // the tar stream itself
)

// Limits of a plan.
const (
	MinFrameBytes = 64 << 10
	MaxFrameBytes = 64 << 20
	// MaxEpoch is the last second that fits the eleven octal digits of a ustar header (the year 2242): a later one
	// would put a PAX record before every single entry.
	MaxEpoch = 1<<33 - 1
	// MaxID is the largest uid or gid that fits a ustar header.
	MaxID = 1<<21 - 1
	// MaxMajor and MaxMinor are Linux's own limits for device numbers (12 and 20 bits).
	MaxMajor = 1<<12 - 1
	MaxMinor = 1<<20 - 1
	// MaxPathBytes and MaxNameBytes are Linux's PATH_MAX (with its final NUL) and NAME_MAX.
	MaxPathBytes = 4095
	MaxNameBytes = 255
)

// Plan is one layer to be made.
type Plan struct {
	SchemaVersion int     `json:"schemaVersion"`
	Epoch         *int64  `json:"epoch"`       // seconds since 1970, the date of every entry
	Compression   string  `json:"compression"` // Zstd, Gzip or None
	Level         int     `json:"level"`       // zstd 1..4 (fastest..best), gzip 1..9, of no effect for none
	FrameBytes    int     `json:"frameBytes"`  // bytes of the tar stream in a frame, of no effect on the bytes for none
	Entries       []Entry `json:"entries"`     // in the order of the tar stream: ascending by the bytes of Path
}

// Type says what an entry is.
type Type string

// The types of entries.
const (
	File     Type = "file"
	Dir      Type = "dir"
	Symlink  Type = "symlink"
	Hardlink Type = "hardlink"
	Char     Type = "char"
	Block    Type = "block"
	Fifo     Type = "fifo"
)

// Entry is one entry of the layer. Pointers tell "absent" from "zero": what a type has no use for must be absent.
type Entry struct {
	Path    string            `json:"path"`    // relative to the root, no leading or trailing slash
	Type    Type              `json:"type"`    // see the constants
	Mode    *int64            `json:"mode"`    // permission, setuid, setgid and sticky bits: 0..0o7777
	Source  *string           `json:"source"`  // file: absolute path of the file with the contents
	Content *string           `json:"content"` // file: the contents themselves, base64
	Target  *string           `json:"target"`  // symlink: what it says; hardlink: the path of an earlier entry
	UID     *int              `json:"uid"`     // default 0
	GID     *int              `json:"gid"`     // default 0
	Major   *int64            `json:"major"`   // char, block
	Minor   *int64            `json:"minor"`   // char, block
	Xattrs  map[string]string `json:"xattrs"`  // name → value, base64
}
