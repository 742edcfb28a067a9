// Package contract reads engine.json, which says how an engine is started: docs/spec/engine.md.
package contract

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"bedplate.dev/runner/supervisor/internal/strictjson"
	"github.com/containerd/containerd/v2/pkg/identifiers"
	"golang.org/x/sys/unix"
)

// Label is the image config's label that carries engine.json.
const Label = "dev.bedplate.engine"

// Contract is one engine's start contract. A Contract from Decode is valid.
type Contract struct {
	SchemaVersion  int               `json:"schemaVersion"`
	Kind           string            `json:"kind"`
	StateLine      string            `json:"stateLine"` // the versions of one line can read each other's state
	Version        string            `json:"version"`
	Args           []string          `json:"args"`
	Env            []string          `json:"env"`
	Files          map[string]string `json:"files"`    // by name, in ${run}
	Defaults       map[string]string `json:"defaults"` // what the owner may replace in those of Files
	Networks       Networks          `json:"networks"` // by what the owner may choose
	Capabilities   []string          `json:"capabilities"`
	Protocol       string            `json:"protocol"`
	StopSignal     string            `json:"stopSignal"`
	StartTimeoutMs int64             `json:"startTimeoutMs"`
	StopTimeoutMs  int64             `json:"stopTimeoutMs"`
}

// Decode reads an engine.json. An unknown field or placeholder is an error, and so is a missing field; errors name the field.
func Decode(data []byte) (Contract, error) {
	var c Contract
	if err := strictjson.Decode(data, &c); err != nil {
		return Contract{}, fmt.Errorf("engine.json: %w", err)
	}
	if err := c.validate(); err != nil {
		return Contract{}, fmt.Errorf("engine.json: %w", err)
	}
	return c, nil
}

// ID is the engine's container id.
func (c Contract) ID() string { return c.Kind + "-" + c.Version }

// LineID is the name of the containerd namespace of the engine's state line.
func (c Contract) LineID() string { return c.Kind + "-" + c.StateLine }

// StartTimeout is the time from the container's creation until its socket has to accept.
func (c Contract) StartTimeout() time.Duration {
	return time.Duration(c.StartTimeoutMs) * time.Millisecond
}

// StopTimeout is the time between the stop signal and SIGKILL.
func (c Contract) StopTimeout() time.Duration {
	return time.Duration(c.StopTimeoutMs) * time.Millisecond
}

// Signal is the stop signal's number.
func (c Contract) Signal() syscall.Signal { return unix.SignalNum(c.StopSignal) }

var (
	kindPattern = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	// semver.org's own expression, without build metadata: "+" can stand in no container id.
	versionPattern    = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-((0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?$`)
	linePattern       = regexp.MustCompile(`^[0-9a-z]+(\.[0-9a-z]+)*$`)
	filePattern       = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	capabilityPattern = regexp.MustCompile(`^CAP_[A-Z_]+$`)
	namePattern       = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// ownNames are in ${run} already: the runner's.
var ownNames = []string{"engine.sock", "rootfs", "hosts", "resolv.conf", NetworkFile}

const longestTimeoutMs = 24 * 60 * 60 * 1000

func (c Contract) validate() error {
	if c.SchemaVersion != 1 {
		return fmt.Errorf("field \"schemaVersion\": %d is not known, this bedplated reads 1", c.SchemaVersion)
	}
	if !kindPattern.MatchString(c.Kind) {
		return fmt.Errorf("field \"kind\": %q does not match %s", c.Kind, kindPattern)
	}
	if !versionPattern.MatchString(c.Version) {
		return fmt.Errorf("field \"version\": %q is not a semantic version without v and build metadata", c.Version)
	}
	if !linePattern.MatchString(c.StateLine) {
		return fmt.Errorf("field \"stateLine\": %q does not match %s", c.StateLine, linePattern)
	}
	if err := identifiers.Validate(c.LineID()); err != nil {
		return fmt.Errorf("fields \"kind\" and \"stateLine\": containerd refuses the namespace: %w", err)
	}
	if err := identifiers.Validate(c.ID()); err != nil {
		return fmt.Errorf("fields \"kind\" and \"version\": containerd refuses the id: %w", err)
	}
	if err := c.validateCommand(); err != nil {
		return err
	}
	if c.Protocol != "grpc" && c.Protocol != "http" {
		return fmt.Errorf("field \"protocol\": %q is neither grpc nor http", c.Protocol)
	}
	if c.Signal() == 0 {
		return fmt.Errorf("field \"stopSignal\": %q is not a signal's name such as SIGTERM", c.StopSignal)
	}
	if c.StartTimeoutMs <= 0 || c.StartTimeoutMs > longestTimeoutMs {
		return fmt.Errorf("field \"startTimeoutMs\": %d is not between 1 and %d", c.StartTimeoutMs, longestTimeoutMs)
	}
	if c.StopTimeoutMs < 0 || c.StopTimeoutMs > longestTimeoutMs {
		return fmt.Errorf("field \"stopTimeoutMs\": %d is not between 0 and %d", c.StopTimeoutMs, longestTimeoutMs)
	}
	return nil
}

func (c Contract) validateCommand() error {
	if len(c.Args) == 0 {
		return errors.New("field \"args\" is empty")
	}
	if !path.IsAbs(c.Args[0]) {
		return fmt.Errorf("field \"args\": the command %q is not an absolute path", c.Args[0])
	}
	if c.Env == nil {
		return errors.New("field \"env\" is missing")
	}
	for _, variable := range c.Env {
		name, _, found := strings.Cut(variable, "=")
		if !found || !namePattern.MatchString(name) {
			return fmt.Errorf("field \"env\": %q is not NAME=value", variable)
		}
		if name == "TMPDIR" {
			return errors.New("field \"env\": TMPDIR is the runner's to set")
		}
	}
	if c.Files == nil {
		return errors.New("field \"files\" is missing")
	}
	for name := range c.Files {
		if !filePattern.MatchString(name) || slices.Contains(ownNames, name) {
			return fmt.Errorf("field \"files\": %q is not a plain file name", name)
		}
	}
	if c.Defaults == nil {
		return errors.New("field \"defaults\" is missing")
	}
	for name := range c.Defaults {
		if _, found := c.Files[name]; !found || !strings.HasSuffix(name, ".toml") {
			return fmt.Errorf("field \"defaults\": %q is not a .toml file of \"files\"", name)
		}
	}
	if err := c.validateNetworks(); err != nil {
		return err
	}
	if c.Capabilities == nil {
		return errors.New("field \"capabilities\" is missing")
	}
	for _, name := range c.Capabilities {
		if !capabilityPattern.MatchString(name) {
			return fmt.Errorf("field \"capabilities\": %q is not a capability such as CAP_SYS_ADMIN", name)
		}
	}
	contents := append(slices.Collect(maps.Values(c.Files)), slices.Collect(maps.Values(c.Defaults))...)
	for _, files := range c.Networks {
		contents = append(contents, slices.Collect(maps.Values(files))...)
	}
	for field, texts := range map[string][]string{"args": c.Args, "env": c.Env, "files": contents} {
		for _, text := range texts {
			if strings.ContainsRune(text, 0) {
				return fmt.Errorf("field %q: %q holds a NUL", field, text)
			}
			if _, err := expand(text, Values{}); err != nil {
				return fmt.Errorf("field %q: %w", field, err)
			}
		}
	}
	return nil
}
