// Package ownerconfig adds what the host's owner wants to the files of an engine's start contract: docs/spec/runner.md, "An engine's
// own configuration".
package ownerconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Apply merges <folder>/<kind>/<name> and then <folder>/<kind>/<version>/<name> into each of the contract's files whose name ends in
// .toml, after its defaults. A table is merged with a table; any other value takes the place of the one before it. What the contract itself sets is the
// runner's to set: another value for it is an error that names the file and the key.
func Apply(folder, kind, version string, files, defaults map[string]string) (map[string]string, error) {
	applied := maps.Clone(files)
	for name, own := range files {
		if !strings.HasSuffix(name, ".toml") {
			continue
		}
		merged, err := applyOne([]string{filepath.Join(folder, kind, name), filepath.Join(folder, kind, version, name)}, own, defaults[name])
		if err != nil {
			return nil, err
		}
		applied[name] = merged
	}
	return applied, nil
}

// Merge adds to some of the contract's TOML files what the contract has for a case; it wins.
func Merge(files, added map[string]string) (map[string]string, error) {
	merged := maps.Clone(files)
	for name, text := range added {
		own, err := parseOwn(files[name])
		if err != nil {
			return nil, err
		}
		more, err := parseOwn(text)
		if err != nil {
			return nil, err
		}
		merge(own, more)
		written, err := toml.Marshal(own)
		if err != nil {
			return nil, err
		}
		merged[name] = string(written)
	}
	return merged, nil
}

func applyOne(paths []string, own, defaults string) (string, error) {
	wanted, err := parseOwn(defaults)
	if err != nil {
		return "", err
	}
	var read []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		var piece map[string]any
		if err := toml.Unmarshal(text, &piece); err != nil {
			return "", fmt.Errorf("%s: %w", path, describe(err))
		}
		merge(wanted, piece)
		read = append(read, path)
	}
	if len(read) == 0 && defaults == "" {
		return own, nil
	}
	contract, err := parseOwn(own)
	if err != nil {
		return "", err
	}
	if key := conflict("", wanted, contract); key != "" {
		return "", fmt.Errorf("%s: %s is the runner's to set: leave it out", strings.Join(read, ", "), key)
	}
	merge(wanted, contract)
	text, err := toml.Marshal(wanted)
	return string(text), err
}

func parseOwn(text string) (map[string]any, error) {
	parsed := map[string]any{}
	if err := toml.Unmarshal([]byte(text), &parsed); err != nil {
		return nil, fmt.Errorf("the engine's own file: %w", describe(err))
	}
	return parsed, nil
}

// describe makes a parser's error say where it is.
func describe(err error) error {
	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, column := at.Position()
		return fmt.Errorf("line %d, column %d: %w", row, column, err)
	}
	return err
}

func merge(into, from map[string]any) {
	for key, value := range from {
		below, isTable := into[key].(map[string]any)
		other, alsoTable := value.(map[string]any)
		if isTable && alsoTable {
			merge(below, other)
			continue
		}
		into[key] = value
	}
}

// conflict gives the first key, by name, that both set to different values or kinds; "" when there is none.
func conflict(prefix string, wanted, contract map[string]any) string {
	for _, key := range slices.Sorted(maps.Keys(contract)) {
		value, set := wanted[key]
		if !set {
			continue
		}
		below, isTable := value.(map[string]any)
		own, ownTable := contract[key].(map[string]any)
		if isTable && ownTable {
			if found := conflict(prefix+key+".", below, own); found != "" {
				return found
			}
			continue
		}
		if value != contract[key] || isTable != ownTable {
			return prefix + key
		}
	}
	return ""
}
