import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BedplateError, messageOf } from '../error.ts';
import { writeFileAtomic } from '../files.ts';
import { startDetached } from '../process.ts';
import { controlClient, hostSocket } from './control.ts';
import { down } from './down.ts';
import { RUNNER_BIN } from './runner-image.ts';
import { type RunnerRecord, type RunnerState, readRecord } from './state.ts';
import { start, type UpOptions, type UpResult, up } from './up.ts';

export interface UpgradeOptions extends Omit<UpOptions, 'settings' | 'replace'> {
  /** How long the old runner may take to stop, after what is connected has finished. */
  readonly stopTimeoutMs: number;
  readonly onDrain?: (connections: number) => void;
}

export interface UpgradeResult extends UpResult {
  /** The version that was replaced. */
  readonly from: string;
}

/**
 * Replaces the runner of a state folder by the one of a layout: drain, stop, start on the same state and settings. Clients that come meanwhile are
 * held by a stand-in on the same sockets, and handed to the new runner. When that does not come up, the old one is started again.
 */
export async function upgrade(options: UpgradeOptions): Promise<UpgradeResult> {
  const { state } = options;
  const before = readRecord(state);
  const control = controlClient(state);
  const { ready } = await control.ready();
  if (before === undefined || !ready) {
    throw new BedplateError(
      'runner',
      `no runner is up in ${state.folder}: there is nothing to upgrade`,
      'Start one with ./bedplate up.',
    );
  }
  const kept = keep([state.record, join(state.bundle, 'config.json'), join(state.etc, 'bedplated.json')]);
  let standIn = 0;
  let stopped = false;
  try {
    const result = await up({
      ...options,
      replace: async () => {
        standIn = await standInFor(state, before);
        options.onStep?.('drain');
        await down(state, {
          timeoutMs: options.stopTimeoutMs,
          now: false,
          keepSockets: true,
          ...(options.onDrain === undefined ? {} : { onDrain: options.onDrain }),
        });
        stopped = true;
      },
    });
    return { ...result, from: before.version };
  } catch (cause) {
    if (!stopped) throw cause;
    for (const { path, bytes } of kept) writeFileAtomic(path, bytes);
    try {
      await start(state, before, { readyTimeoutMs: options.readyTimeoutMs, keepSockets: true });
    } catch (again) {
      if (standIn > 0) process.kill(standIn, 'SIGTERM');
      throw new BedplateError(
        'runner',
        `${messageOf(cause)}\nThe old runner does not come up either: ${messageOf(again)}`,
        `Its whole log is ${state.log}.`,
        { cause },
      );
    }
    throw new BedplateError(
      'runner',
      `${messageOf(cause)}\nThe old runner ${before.version} is up again.`,
      `See ${state.log}.`,
      { cause },
    );
  }
}

function keep(paths: readonly string[]): { readonly path: string; readonly bytes: Buffer }[] {
  return paths.map((path) => ({ path, bytes: readFileSync(path) }));
}

/** Starts the stand-in on every engine socket and returns when it holds them. It ends by itself once the last client that it handed over has left. */
async function standInFor(state: RunnerState, record: RunnerRecord): Promise<number> {
  const { engines } = await controlClient(state).engines();
  const sockets = [
    ...engines.map(({ socket }) => hostSocket(state, socket)),
    ...engines.filter((engine) => engine.default).map(({ kind }) => join(state.run, kind, 'default.sock')),
  ].filter((path) => existsSync(path));
  const log = openSync(`${state.log}.stand-in`, 'w', 0o640);
  const pid = startDetached(join(record.rootfs, RUNNER_BIN, 'bedplated'), ['stand-in', ...sockets], log);
  closeSync(log);
  for (let round = 0; round < 200; round++) {
    const said = readFileSync(`${state.log}.stand-in`, 'utf8');
    if (said.includes('"standing in"')) return pid;
    if (said.includes('"bedplated failed"')) break;
    await sleep(25);
  }
  throw new BedplateError(
    'runner',
    `nobody stands in for the runner's sockets: ${readFileSync(`${state.log}.stand-in`, 'utf8').trim()}`,
    'The runner goes on as it was.',
  );
}
