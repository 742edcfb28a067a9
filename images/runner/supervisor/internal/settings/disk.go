package settings

import (
	"encoding/json"
	"fmt"
	"time"

	"bedplate.dev/runner/supervisor/internal/strictjson"
)

// Disk bounds what the runner keeps on disk. 0 means no such limit.
type Disk struct {
	BudgetBytes int64         // of all state lines and engine images together
	FreeBytes   int64         // that the file system is to have free; below 0 for the default, FloorBytes
	LineMaxAge  time.Duration // since a state line was last used
	ImageMaxAge time.Duration // since an engine image was last started
	MaxLines    int           // state lines, engine images
	MaxImages   int
	Pinned      []string // "<kind>/<version>": its image and state line are never removed for a limit
}

type diskFile struct {
	BudgetBytes   int64    `json:"budgetBytes"`
	FreeBytes     int64    `json:"freeBytes"`
	LineMaxAgeMs  int64    `json:"lineMaxAgeMs"`
	ImageMaxAgeMs int64    `json:"imageMaxAgeMs"`
	MaxLines      int      `json:"maxLines"`
	MaxImages     int      `json:"maxImages"`
	Pinned        []string `json:"pinned"`
}

const (
	monthMs       = 30 * 24 * 60 * 60 * 1000
	defaultFloor  = -1
	smallestFloor = 128 << 20
	largestFloor  = 5 << 30
	floorShare    = 50 // one part of so many of the file system
)

// FloorBytes is what the file system is to have free, when it has so many bytes in all.
func (d Disk) FloorBytes(total int64) int64 {
	if d.FreeBytes >= 0 {
		return d.FreeBytes
	}
	return min(max(total/floorShare, smallestFloor), largestFloor)
}

func validateDisk(data json.RawMessage) (Disk, error) {
	raw := diskFile{FreeBytes: defaultFloor, LineMaxAgeMs: monthMs, ImageMaxAgeMs: monthMs}
	if data != nil {
		if err := strictjson.Decode(data, &raw); err != nil {
			return Disk{}, fmt.Errorf("field \"disk\": %w", err)
		}
	}
	disk, err := raw.validate()
	if err != nil {
		return Disk{}, fmt.Errorf("field \"disk\": %w", err)
	}
	return disk, nil
}

func (f diskFile) validate() (Disk, error) {
	lineMaxAge, err := milliseconds("lineMaxAgeMs", f.LineMaxAgeMs)
	if err != nil {
		return Disk{}, err
	}
	imageMaxAge, err := milliseconds("imageMaxAgeMs", f.ImageMaxAgeMs)
	if err != nil {
		return Disk{}, err
	}
	for field, value := range map[string]int64{
		"budgetBytes": f.BudgetBytes, "freeBytes": f.FreeBytes - defaultFloor, "maxLines": int64(f.MaxLines), "maxImages": int64(f.MaxImages),
	} {
		if value < 0 {
			return Disk{}, fmt.Errorf("field %q is below 0", field)
		}
	}
	for _, name := range f.Pinned {
		if !engineNamePattern.MatchString(name) {
			return Disk{}, fmt.Errorf("field \"pinned\": %q is neither a kind nor <kind>/<version>", name)
		}
	}
	return Disk{
		BudgetBytes: f.BudgetBytes, FreeBytes: f.FreeBytes, LineMaxAge: lineMaxAge, ImageMaxAge: imageMaxAge,
		MaxLines: f.MaxLines, MaxImages: f.MaxImages, Pinned: f.Pinned,
	}, nil
}
