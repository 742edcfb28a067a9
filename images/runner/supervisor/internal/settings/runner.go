package settings

import (
	"fmt"
	"os"
	"path"
	"regexp"

	"bedplate.dev/runner/supervisor/internal/strictjson"
)

// Runner is what the image says of itself, runner.json: docs/spec/runner.md, "In the image".
type Runner struct {
	SchemaVersion int      `json:"schemaVersion"`
	Version       string   `json:"version"`
	Default       string   `json:"default"`   // "<kind>/<version>"
	BasePaths     []string `json:"basePaths"` // what a baked engine sees of the runner's root
}

var defaultPattern = regexp.MustCompile(`^[^/]+/[^/]+$`)

// LoadRunner reads runner.json. Errors name the file and the field.
func LoadRunner(file string) (Runner, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Runner{}, fmt.Errorf("runner.json: %w", err)
	}
	var runner Runner
	if err := strictjson.Decode(data, &runner); err != nil {
		return Runner{}, fmt.Errorf("%s: %w", file, err)
	}
	if err := runner.validate(); err != nil {
		return Runner{}, fmt.Errorf("%s: %w", file, err)
	}
	return runner, nil
}

func (r Runner) validate() error {
	if r.SchemaVersion != 1 {
		return fmt.Errorf("field \"schemaVersion\": %d is not known, this bedplated reads 1", r.SchemaVersion)
	}
	if r.Version == "" {
		return fmt.Errorf("field \"version\" is empty")
	}
	if !defaultPattern.MatchString(r.Default) {
		return fmt.Errorf("field \"default\": %q is not <kind>/<version>", r.Default)
	}
	for _, base := range r.BasePaths {
		if !path.IsAbs(base) || path.Clean(base) != base || base == "/" {
			return fmt.Errorf("field \"basePaths\": %q is not a clean absolute path below /", base)
		}
	}
	return nil
}
