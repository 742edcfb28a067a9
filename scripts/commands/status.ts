import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { freeBytes } from '../../images/cache.ts';
import {
  controlClient,
  type EngineStatus,
  type EnginesAnswer,
  hostSocket,
  type LineStatus,
} from '../../images/runner/control.ts';
import { diskUsage } from '../../images/runner/disk.ts';
import { type RunnerState, readRecord } from '../../images/runner/state.ts';
import { table } from '../../release/local/summary.ts';
import { makeContext, namedRunner } from '../context.ts';

/** `status --json`. Sizes are bytes on this host's disk; sockets are this host's. */
interface Status {
  readonly state: string;
  readonly up: boolean;
  readonly ready: boolean;
  readonly reason: string;
  readonly runner: (EnginesAnswer['runner'] & { readonly digest: string }) | null;
  readonly engines: readonly EngineStatus[];
  readonly lines: readonly LineStatus[];
  readonly disk: { readonly usedBytes: number; readonly freeBytes: number };
}

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('what the runner has, what runs, who is connected, what it takes on disk')
    .option('--state <folder>', "the runner's folder (default: RUNNER, else /var/lib/bedplate)")
    .addHelpText('after', '\nExample: bedplate status --json')
    .action(async ({ state: flag }: { readonly state?: string }, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const status = await readStatus(namedRunner(flag));
      console.log(context.json ? JSON.stringify(status) : statusText(status));
      if (!status.ready) process.exitCode = 1;
    });
}

async function readStatus(state: RunnerState): Promise<Status> {
  const control = controlClient(state);
  const disk = { usedBytes: diskUsage(state.folder), freeBytes: freeBytes(state.folder) };
  const up = existsSync(join(state.run, 'control.sock'));
  if (!up)
    return {
      state: state.folder,
      up,
      ready: false,
      reason: 'no runner is up there',
      runner: null,
      engines: [],
      lines: [],
      disk,
    };
  const { ready, reason } = await control.ready();
  const { runner, engines } = await control.engines();
  return {
    state: state.folder,
    up,
    ready,
    reason,
    runner: { ...runner, digest: readRecord(state)?.digest ?? '' },
    engines: engines.map((engine) => ({
      ...engine,
      socket: hostSocket(state, engine.socket),
    })),
    lines: await control.lines(),
    disk,
  };
}

function statusText({ state, up, ready, reason, runner, engines, lines, disk }: Status): string {
  const size = `${gigabytes(disk.usedBytes)} GB used, ${gigabytes(disk.freeBytes)} GB free`;
  if (!up || runner === null) return `${state}: ${reason} (${size}).`;
  const rows = engines.map((engine) => [
    `${engine.kind} ${engine.version}${engine.default ? ' (default)' : ''}`,
    engine.source,
    engine.waitingFor === '' ? engine.state : `waits for ${engine.waitingFor}`,
    String(engine.connections),
    engine.socket,
  ]);
  const errors = engines
    .filter(({ lastError }) => lastError !== '')
    .map((e) => `${e.kind} ${e.version}: ${e.lastError}`);
  return [
    `Runner ${runner.version} in ${state}, ${ready ? 'ready' : `not ready: ${reason}`}; containerd ${runner.containerd.version}; ${size}.`,
    '',
    table(['engine', 'from', 'state', 'connections', 'socket'], rows),
    '',
    table(['state line', 'held by', 'MB', 'last used'], lines.map(lineRow)),
    ...(errors.length === 0 ? [] : ['', ...errors]),
  ].join('\n');
}

function lineRow({ kind, line, holder, bytes, lastUsedAt }: LineStatus): string[] {
  return [
    `${kind}/${line}`,
    holder || '-',
    (bytes / 1e6).toFixed(1),
    lastUsedAt === '' ? 'never' : lastUsedAt.slice(0, 16),
  ];
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(2);
}
