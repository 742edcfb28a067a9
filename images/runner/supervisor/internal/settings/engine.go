package settings

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"bedplate.dev/runner/supervisor/internal/strictjson"
)

// Engine is what the owner may choose for the engines of a kind, or for one version.
type Engine struct {
	IdleTimeout  time.Duration // without connections it is stopped after it
	CPUs         float64       // of the engine and its work together; 0 for no limit, as below
	MemoryBytes  int64
	PIDs         int64
	StateLine    string   // in place of its start contract's; "" for that one
	Network      string   // of what it runs: host or bridge
	Capabilities []string // besides those of its start contract, for RUN steps without a sandbox as a rule
}

// engineFile is a member of "engines", whose absent fields are those of what is less particular.
type engineFile struct {
	IdleTimeoutMs   int64    `json:"idleTimeoutMs"`
	CPUs            float64  `json:"cpus"`
	MemoryBytes     int64    `json:"memoryBytes"`
	PIDs            int64    `json:"pids"`
	StateLine       string   `json:"stateLine"`
	Network         string   `json:"network"`
	AddCapabilities []string `json:"addCapabilities"`
}

var (
	engineNamePattern = regexp.MustCompile(`^[a-z][a-z0-9-]*(/[0-9][0-9A-Za-z.-]*)?$`)
	linePattern       = regexp.MustCompile(`^[0-9a-z]+(\.[0-9a-z]+)*$`)
	capabilityPattern = regexp.MustCompile(`^CAP_[A-Z_]+$`)
)

// Engine gives what holds for one engine: its version's choices before its kind's before everybody's.
func (s Settings) Engine(kind, version string) Engine {
	if found, named := s.engines[kind+"/"+version]; named {
		return found
	}
	if found, named := s.engines[kind]; named {
		return found
	}
	return Engine{IdleTimeout: s.IdleTimeout, Network: s.Network}
}

// validateEngines reads kinds before versions, which begin with what their kind has.
func (f file) validateEngines() (map[string]Engine, error) {
	engines := map[string]Engine{}
	read := map[string]engineFile{}
	for _, name := range slices.Sorted(maps.Keys(f.Engines)) { // "buildkit" sorts before "buildkit/0.13.2"
		raw, found := read[strings.Split(name, "/")[0]]
		if !found {
			raw = engineFile{IdleTimeoutMs: f.IdleTimeoutMs, Network: f.Network}
		}
		raw.AddCapabilities = slices.Clone(raw.AddCapabilities) // JSON is read into the same array otherwise: the kind's
		if !engineNamePattern.MatchString(name) {
			return nil, fmt.Errorf("field \"engines\": %q is neither a kind nor <kind>/<version>", name)
		}
		if err := strictjson.Decode(f.Engines[name], &raw); err != nil {
			return nil, fmt.Errorf("field \"engines\": %q: %w", name, err)
		}
		valid, err := raw.validate()
		if err != nil {
			return nil, fmt.Errorf("field \"engines\": %q: %w", name, err)
		}
		read[name], engines[name] = raw, valid
	}
	return engines, nil
}

// smallestMemory is what the runtime needs to start anything at all in a cgroup.
const smallestMemory = 6 << 20

func (f engineFile) validate() (Engine, error) {
	idle, err := milliseconds("idleTimeoutMs", f.IdleTimeoutMs)
	switch {
	case err != nil:
		return Engine{}, err
	case f.CPUs != 0 && (f.CPUs < 0.01 || f.CPUs > 1e6):
		return Engine{}, fmt.Errorf("field \"cpus\": %v is neither 0 (no limit) nor at least 0.01", f.CPUs)
	case f.MemoryBytes != 0 && f.MemoryBytes < smallestMemory:
		return Engine{}, fmt.Errorf("field \"memoryBytes\": %d is neither 0 (no limit) nor at least %d", f.MemoryBytes, smallestMemory)
	case f.StateLine != "" && !linePattern.MatchString(f.StateLine):
		return Engine{}, fmt.Errorf("field \"stateLine\": %q is not a state line such as \"0.34\"", f.StateLine)
	case f.PIDs < 0:
		return Engine{}, fmt.Errorf("field \"pids\": %d is below 0 (no limit)", f.PIDs)
	}
	if err := validateNetwork(f.Network); err != nil {
		return Engine{}, err
	}
	for _, name := range f.AddCapabilities {
		if !capabilityPattern.MatchString(name) {
			return Engine{}, fmt.Errorf("field \"addCapabilities\": %q is not a capability such as \"CAP_SYS_PTRACE\"", name)
		}
	}
	return Engine{
		IdleTimeout: idle, CPUs: f.CPUs, MemoryBytes: f.MemoryBytes, PIDs: f.PIDs,
		StateLine: f.StateLine, Network: f.Network, Capabilities: f.AddCapabilities,
	}, nil
}

func milliseconds(field string, ms int64) (time.Duration, error) {
	if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0, fmt.Errorf("field %q: %d is out of range", field, ms)
	}
	return time.Duration(ms) * time.Millisecond, nil
}
