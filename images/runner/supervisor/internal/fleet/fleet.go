// Package fleet keeps the engines that the runner knows, each with its sockets.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/disk"
	"bedplate.dev/runner/supervisor/internal/engine"
	"bedplate.dev/runner/supervisor/internal/gc"
	"bedplate.dev/runner/supervisor/internal/line"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/settings"
	"bedplate.dev/runner/supervisor/internal/socket"
)

// Options are what a Fleet needs. Starter gives what starts an entry's engine.
type Options struct {
	Paths    paths.Paths
	Settings settings.Settings
	Default  string // runner.json's, "<kind>/<version>"
	Starter  func(catalog.Entry) engine.Starter
	Disk     Disk
	Account  *gc.Account
	Reserve  disk.Reserve
	Removed  func(gc.Thing)                                           // told of what a limit has removed; nil for nobody
	Started  func(entry catalog.Entry, took time.Duration, err error) // told of each start; nil for nobody
	Settled  func() <-chan struct{}                                   // engine.Options'
	Log      *slog.Logger
}

// Fleet is safe for concurrent use.
type Fleet struct {
	options Options
	sockets socket.Opener
	baked   []catalog.Entry

	mu       sync.Mutex
	lines    map[string]*line.Line // by "<kind>/<line>"
	members  map[string]*Member    // by "<kind>/<version>"
	problems string                // those of the local layout that were logged last
	closed   bool
	full     bool

	sweeping sync.Mutex
}

// Member is one known engine.
type Member struct {
	catalog.Entry
	*engine.Engine
	Default    bool
	SocketPath string
	sockets    map[string]*socket.Listener
	serving    sync.WaitGroup // one for each socket that accepts
}

// Open finds the baked and the local engines, and opens a socket for each. What is wrong with a baked
// engine is an error; what is wrong with a local one is logged, and it is left out.
func Open(options Options) (*Fleet, error) {
	f := &Fleet{
		options: options,
		sockets: socket.Opener{Root: options.Paths.Sockets, Settings: options.Settings},
		members: map[string]*Member{},
		lines:   map[string]*line.Line{},
	}
	var err error
	if f.baked, err = catalog.FindBaked(options.Paths.Engines); err != nil {
		return nil, err
	}
	f.baked = f.moved(f.baked)
	if !slices.ContainsFunc(f.baked, func(e catalog.Entry) bool { return e.Name() == options.Default }) {
		return nil, fmt.Errorf("%s: field \"default\": there is no baked engine %s in %s",
			options.Paths.RunnerFile, options.Default, options.Paths.Engines)
	}
	for _, entry := range f.baked {
		if err := f.add(entry); err != nil {
			return nil, errors.Join(fmt.Errorf("engine %s: %w", entry.Name(), err), f.Close(context.Background()))
		}
	}
	f.Rescan()
	return f, nil
}

// Rescan reads the local layout again: new engines get a socket, those that have gone from it or changed in it lose theirs
// as soon as they do not run.
func (f *Fleet) Rescan() {
	local, problems := catalog.FindLocal(f.options.Paths.Local)
	wanted := map[string]catalog.Entry{}
	for _, entry := range catalog.Merge(f.baked, f.moved(local)) {
		wanted[entry.Name()] = entry
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	for name, member := range f.members {
		if entry, found := wanted[name]; (!found || !entry.Same(member.Entry)) && member.Retire() {
			problems = append(problems, member.closeSockets())
			delete(f.members, name)
		}
	}
	for name, entry := range wanted {
		if f.members[name] != nil {
			continue
		}
		if err := f.add(entry); err != nil {
			problems = append(problems, fmt.Errorf("engine %s: %w", name, err))
		}
	}
	f.report(errors.Join(problems...))
}

// moved gives each entry the state line that the owner wants it to have.
func (f *Fleet) moved(entries []catalog.Entry) []catalog.Entry {
	for i, entry := range entries {
		if line := f.options.Settings.Engine(entry.Kind, entry.Version).StateLine; line != "" {
			entries[i].StateLine = line
		}
	}
	return entries
}

// report logs problems once, not at each listing. It needs the lock.
func (f *Fleet) report(problems error) {
	text := ""
	if problems != nil {
		text = problems.Error()
	}
	if text != f.problems && text != "" {
		f.options.Log.Error("local engines", "error", text)
	}
	f.problems = text
}

// add needs the lock, but for Open.
func (f *Fleet) add(entry catalog.Entry) error {
	log := f.options.Log.With("engine", entry.Name())
	folder := filepath.Join(f.options.Paths.Sockets, entry.Kind)
	member := &Member{
		Entry: entry,
		Engine: engine.New(engine.Options{
			Name: entry.Name(), Starter: f.options.Starter(entry), GRPC: entry.Protocol == "grpc",
			IdleTimeout: f.options.Settings.Engine(entry.Kind, entry.Version).IdleTimeout, Line: f.line(entry), LineWait: f.options.Settings.LineWait,
			Ephemeral: f.options.Settings.Ephemeral, Settled: f.options.Settled, Log: log,
			Started: func(took time.Duration, err error) {
				if f.options.Started != nil {
					f.options.Started(entry, took, err)
				}
			},
		}),
		Default:    entry.Name() == f.options.Default,
		SocketPath: filepath.Join(folder, entry.Version+".sock"),
		sockets:    map[string]*socket.Listener{},
	}
	open := []string{member.SocketPath}
	if member.Default {
		open = append(open, filepath.Join(folder, "default.sock"))
	}
	for _, path := range open {
		listener, err := f.sockets.Open(path)
		if err != nil {
			return errors.Join(err, member.closeSockets())
		}
		member.sockets[path] = listener
		member.serving.Go(func() { member.Serve(listener.UnixListener) })
	}
	f.members[entry.Name()] = member
	log.Info("engine known", "source", string(entry.Source), "socket", member.SocketPath)
	return nil
}

// line needs the lock, but for Open. A line stays known when its last engine has gone: what it has on disk does.
func (f *Fleet) line(entry catalog.Entry) *line.Line {
	name := entry.Kind + "/" + entry.StateLine
	if f.lines[name] == nil {
		f.lines[name] = &line.Line{}
	}
	return f.lines[name]
}

// List gives the known engines, sorted by kind, then by version as text.
func (f *Fleet) List() []*Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*Member
	for _, member := range f.members {
		list = append(list, member)
	}
	slices.SortFunc(list, func(a, b *Member) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Version, b.Version))
	})
	return list
}

// Find gives the engine, or nil for one that is not known.
func (f *Fleet) Find(kind, version string) *Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.members[kind+"/"+version]
}

// Close closes every socket that Drain has not, then stops every engine for good, all at the same time.
func (f *Fleet) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	members := f.List()
	failed := make([]error, 2*len(members))
	for i, member := range members {
		failed[i] = member.closeSockets()
	}
	var all sync.WaitGroup
	for i, member := range members {
		all.Go(func() {
			if err := member.Engine.Close(ctx); err != nil {
				failed[len(members)+i] = fmt.Errorf("engine %s: %w", member.Name(), err)
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

func (m *Member) closeSockets() error {
	var failed []error
	for _, listener := range m.sockets {
		failed = append(failed, listener.Finish())
	}
	clear(m.sockets)
	return errors.Join(failed...)
}
