package contract

import (
	"fmt"
	"strconv"
	"strings"
)

// Values replaces the placeholders of docs/spec/engine.md.
type Values struct {
	Socket           string // ${socket}
	State            string // ${state}
	Run              string // ${run}
	ContainerdSocket string // ${containerdSocket}
	Namespace        string // ${namespace}
	Cgroup           string // ${cgroup}
	CacheBytes       int64  // ${cacheBytes}
	FreeBytes        int64  // ${freeBytes}
}

// Command is how an engine is started, with every placeholder replaced.
type Command struct {
	Args, Env []string
	Files     map[string]string // by name, in ${run}
	Defaults  map[string]string // what the owner may replace in them
}

// Command replaces every placeholder.
func (c Contract) Command(values Values) (Command, error) {
	command := Command{Files: map[string]string{}, Defaults: map[string]string{}}
	var err error
	if command.Args, err = expandAll(c.Args, values); err != nil {
		return Command{}, err
	}
	if command.Env, err = expandAll(c.Env, values); err != nil {
		return Command{}, err
	}
	for name, content := range c.Files {
		if command.Files[name], err = expand(content, values); err != nil {
			return Command{}, err
		}
	}
	for name, content := range c.Defaults {
		if command.Defaults[name], err = expand(content, values); err != nil {
			return Command{}, err
		}
	}
	return command, nil
}

func expandAll(texts []string, values Values) ([]string, error) {
	out := make([]string, 0, len(texts))
	for _, text := range texts {
		expanded, err := expand(text, values)
		if err != nil {
			return nil, err
		}
		out = append(out, expanded)
	}
	return out, nil
}

// expand replaces placeholders once, from left to right: what a value holds is never looked at again.
func expand(text string, values Values) (string, error) {
	var out strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("%q: a placeholder is not closed by }", text)
		}
		value, err := values.get(name)
		if err != nil {
			return "", fmt.Errorf("%q: %w", text, err)
		}
		out.WriteString(value)
		rest = next
	}
}

func (v Values) get(name string) (string, error) {
	switch name {
	case "socket":
		return v.Socket, nil
	case "state":
		return v.State, nil
	case "run":
		return v.Run, nil
	case "containerdSocket":
		return v.ContainerdSocket, nil
	case "namespace":
		return v.Namespace, nil
	case "cgroup":
		return v.Cgroup, nil
	case "cacheBytes":
		return strconv.FormatInt(v.CacheBytes, 10), nil
	case "freeBytes":
		return strconv.FormatInt(v.FreeBytes, 10), nil
	}
	return "", fmt.Errorf("${%s} is not a placeholder (known are socket, state, run, containerdSocket, namespace, cgroup, cacheBytes, freeBytes)", name)
}
