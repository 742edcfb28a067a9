import type { GoRecipe } from '../compile/recipe.ts';

/** What `engine.json` says; see docs/spec/engine.md. */
export interface StartContract {
  readonly schemaVersion: 1;
  readonly kind: string;
  readonly version: string;
  /** The versions of one line can read each other's state, both ways: they share it, one at a time. */
  readonly stateLine: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Written to ${run} before each start, by name. */
  readonly files: Readonly<Record<string, string>>;
  readonly defaults: Readonly<Record<string, string>>;
  /** What each network that it can have adds to the files, by network and file. */
  readonly networks: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly capabilities: readonly string[];
  readonly protocol: 'grpc' | 'http';
  readonly stopSignal: string;
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
}

/** A kind of engine: where its source is, how it is compiled, how it is started. One value a kind. */
export interface EngineKind {
  /** Lower-case name; part of paths, tags and sockets. */
  readonly kind: string;
  /** The Go module that upstream releases. */
  readonly module: string;
  /** The daemon's program, and how it is compiled for a version. */
  readonly daemon: string;
  /** The command line clients that are built from the same module, by program name. */
  readonly clis: readonly string[];
  /** The environment variable by which the clients find a daemon's socket, given as `unix://<path>`. */
  readonly hostVariable: string;
  readonly recipe: (version: string, revision: string) => GoRecipe;
  readonly startContract: (version: string) => StartContract;
}

/** Where an engine's files live, in its own image and, baked, in the runner's. */
export function enginePrefix(kind: string, version: string): string {
  return `/opt/bedplate/engines/${kind}/${version}`;
}
