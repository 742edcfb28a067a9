package fleet

import (
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Errors of Resolve.
var (
	ErrBadRange = errors.New("not a version range")
	ErrNoEngine = errors.New("no such engine")
)

// Resolve gives the known engine of a kind with the highest version that a range allows; an empty range means the default engine of
// the kind, or its highest when it has none. Pre-releases count only when the range names one.
func (f *Fleet) Resolve(kind, text string) (*Member, error) {
	var allows *semver.Constraints
	if text != "" {
		parsed, err := semver.NewConstraint(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w (examples: 0.34, ^0.29.0, 0.13.2)", text, ErrBadRange)
		}
		allows = parsed
	}
	var best *Member
	var bestVersion *semver.Version
	var known []string
	for _, member := range f.List() {
		if member.Kind != kind {
			continue
		}
		known = append(known, member.Version)
		version, err := semver.StrictNewVersion(member.Version)
		if err != nil {
			continue // the contract's check lets none through
		}
		if allows == nil && member.Default {
			return member, nil
		}
		if allows != nil && !allows.Check(version) {
			continue
		}
		if best == nil || version.GreaterThan(bestVersion) {
			best, bestVersion = member, version
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%w: %s %s (there is: %s)", ErrNoEngine, kind, text, strings.Join(known, ", "))
	}
	return best, nil
}
