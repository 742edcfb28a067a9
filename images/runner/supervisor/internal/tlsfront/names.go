package tlsfront

import (
	"fmt"
	"strings"
)

// longestName is what is shown of a name that a stranger sent; DNS has no longer ones.
const longestName = 253

// choose gives the engine that a TLS server name means: docs/spec/runner.md, "TLS". It compares the name with those of the known
// engines and never parses a version, since "1-0-0-rc-1" has more than one reading.
func choose(engines []Engine, suffix, name string) (Engine, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	inside, found := strings.CutSuffix(name, "."+suffix)
	if !found {
		for _, engine := range engines {
			if engine.Default {
				return engine, nil
			}
		}
		return Engine{}, fmt.Errorf("there is no default engine")
	}
	var meant []Engine
	for _, engine := range engines {
		if inside == label(engine)+"."+engine.Kind || engine.Default && inside == engine.Kind {
			meant = append(meant, engine)
		}
	}
	switch len(meant) {
	case 0:
		return Engine{}, fmt.Errorf("server name %.*q is none of a known engine", longestName, name)
	case 1:
		return meant[0], nil
	}
	return Engine{}, fmt.Errorf("server name %.*q means %s and %s alike", longestName, name, meant[0].Version, meant[1].Version)
}

// label is the version as one label of a DNS name, as far as that can be: versions are semantic, without build metadata.
func label(engine Engine) string {
	return strings.ToLower(strings.ReplaceAll(engine.Version, ".", "-"))
}
