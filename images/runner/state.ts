import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BedplateError } from '../error.ts';
import { readJson, writeFileAtomic } from '../files.ts';

/** Where one runner keeps everything on this host, and its names. All paths are absolute. */
export interface RunnerState {
  readonly folder: string;
  /** What clients see: sockets. */
  readonly run: string;
  /** /var/lib/bedplate of the runner. */
  readonly data: string;
  /** /etc/bedplate of the runner. */
  readonly etc: string;
  /** Unpacked runner images, by manifest digest. */
  readonly images: string;
  readonly bundle: string;
  /** runc's own state. */
  readonly runc: string;
  readonly log: string;
  readonly record: string;
  /** The container's id, and the cgroup path below each hierarchy: of this state folder alone. */
  readonly id: string;
  readonly cgroupsPath: string;
}

export const DEFAULT_STATE = '/var/lib/bedplate';

/** The paths of a state folder; touches nothing. */
export function runnerState(folder: string): RunnerState {
  const path = realFolder(resolve(folder));
  const id = createHash('sha256').update(path).digest('hex').slice(0, 12);
  return {
    folder: path,
    run: join(path, 'run'),
    data: join(path, 'data'),
    etc: join(path, 'etc'),
    images: join(path, 'images'),
    bundle: join(path, 'bundle'),
    runc: join(path, 'runc'),
    log: join(path, 'log', 'runner.log'),
    record: join(path, 'runner.json'),
    id: `bedplate-${id}`,
    cgroupsPath: `/bedplate/${id}`,
  };
}

/**
 * The state folder that the environment or a flag names: a folder, or its control socket as unix://<folder>/run/control.sock.
 * @param named --state or RUNNER
 */
export function stateFolder(named: string | undefined): string {
  if (named === undefined || named === '') return DEFAULT_STATE;
  const socket = /^unix:\/\/(\/.+)\/run\/control\.sock$/.exec(named)?.[1];
  if (socket !== undefined) return socket;
  if (named.includes('://')) {
    throw new BedplateError(
      'usage',
      `${named} does not name a runner`,
      'Give its state folder, or unix://<folder>/run/control.sock.',
    );
  }
  return named;
}

/** What `up` wrote of the runner that it started. */
export interface RunnerRecord {
  readonly schemaVersion: 1;
  readonly version: string;
  /** The runner's manifest. */
  readonly digest: string;
  readonly rootfs: string;
  readonly mounts: readonly HostMount[];
}

/** A file or folder of the host that the runner sees, read-only. Both paths are absolute. */
export interface HostMount {
  readonly source: string;
  readonly destination: string;
}

export function writeRecord(state: RunnerState, record: RunnerRecord): void {
  writeFileAtomic(state.record, `${JSON.stringify(record, null, 2)}\n`);
}

/** The record of the runner in this state folder, or undefined when none was ever started there. */
export function readRecord(state: RunnerState): RunnerRecord | undefined {
  if (!existsSync(state.record)) return undefined;
  return readJson(state.record, `Remove ${state.record} and run ./bedplate up again.`) as RunnerRecord;
}

export function makeStateFolders(state: RunnerState): void {
  for (const path of [state.folder, state.run, state.etc, state.images, dirname(state.log)])
    mkdirSync(path, { recursive: true, mode: 0o755 });
  for (const path of [state.data, state.bundle, state.runc]) mkdirSync(path, { recursive: true, mode: 0o700 });
}

function realFolder(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  const parent = dirname(path);
  return parent === path ? path : join(realFolder(parent), path.slice(parent.length + (parent.endsWith('/') ? 0 : 1)));
}
