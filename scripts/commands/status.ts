import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { freeBytes } from '../../images/cache.ts';
import {
  controlClient,
  type DiskStatus,
  type EngineStatus,
  type EnginesAnswer,
  hostSocket,
  type ImageStatus,
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
  readonly images: readonly ImageStatus[];
  /** When no runner is up: what the state folder takes, and what is free. */
  readonly disk: Pick<DiskStatus, 'usedBytes' | 'freeBytes'> & Partial<DiskStatus>;
}

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('what the runner has, what runs, who is connected, what it takes on disk')
    .option('--state <folder>', "the runner's folder (default: RUNNER, else /var/lib/bedplate)")
    .option('--watch', 'again every second, until interrupted')
    .addHelpText('after', '\nExample: bedplate status --json')
    .action(async ({ state: flag, watch }: { readonly state?: string; readonly watch?: true }, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const state = namedRunner(flag);
      const show = async () => {
        const status = await readStatus(state);
        const screen = watch && !context.json && process.stdout.isTTY ? CLEAR : '';
        console.log(screen + (context.json ? JSON.stringify(status) : statusText(status)));
        process.exitCode = status.ready ? 0 : 1;
      };
      await show();
      while (watch) {
        await sleep(WATCH_MS);
        await show();
      }
    });
}

const WATCH_MS = 1000;
/** Cursor to the upper left, all below erased (ECMA-48: CUP, ED). */
const CLEAR = '\u001b[H\u001b[J';

async function readStatus(state: RunnerState): Promise<Status> {
  const control = controlClient(state);
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
      images: [],
      disk: { usedBytes: diskUsage(state.folder), freeBytes: freeBytes(state.folder) },
    };
  const { ready, reason } = await control.ready();
  const { runner, engines } = await control.engines();
  const [lines, images] = await Promise.all([control.lines(), control.images()]);
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
    lines,
    images,
    disk: { ...(await control.disk()), usedBytes: sum(lines) + sum(images) },
  };
}

function sum(things: readonly { readonly bytes: number }[]): number {
  return things.reduce((bytes, thing) => bytes + thing.bytes, 0);
}

function statusText({ state, up, ready, reason, runner, engines, lines, images, disk }: Status): string {
  const size = sizeText(disk);
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
    ...(images.length === 0 ? [] : ['', table(['engine image', 'MB', 'last started'], images.map(imageRow))]),
    ...(errors.length === 0 ? [] : ['', ...errors]),
  ].join('\n');
}

function sizeText({ usedBytes, freeBytes: free, budgetBytes, floorBytes, full }: Status['disk']): string {
  const of = budgetBytes === undefined ? '' : ` of ${gigabytes(budgetBytes)}`;
  const size = `${gigabytes(usedBytes)}${of} GB used, ${gigabytes(free)} GB free`;
  return full === true ? `DISK FULL: ${size}, less than the ${gigabytes(floorBytes ?? 0)} GB to be kept free` : size;
}

function imageRow({ kind, version, bytes, lastUsedAt }: ImageStatus): string[] {
  return [`${kind} ${version}`, (bytes / 1e6).toFixed(1), lastUsedAt.slice(0, 16)];
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
