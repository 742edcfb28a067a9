import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processRuns } from '../cache.ts';
import { readJson } from '../files.ts';
import { removeBridges } from './bridges.ts';
import { controlClient } from './control.ts';
import { runc } from './runc.ts';
import { type RunnerRecord, type RunnerState, readRecord } from './state.ts';

export interface DownResult {
  /** Whether a runner was running. */
  readonly stopped: boolean;
  /** Whether it had to be killed. */
  readonly killed: boolean;
}

export interface DownOptions {
  /** How long the runner may take to stop what it has, after what is connected has finished. */
  readonly timeoutMs: number;
  /** Do not wait for what is connected: a second SIGTERM. */
  readonly now: boolean;
  /** Leave the sockets' folder: somebody stands in for the runner there. */
  readonly keepSockets?: boolean;
  /** Told when connections are waited for. */
  readonly onDrain?: (connections: number) => void;
}

/**
 * Stops the runner of a state folder: SIGTERM, which lets what is connected finish (the runner's own limit, `up --drain`) and stops its engines,
 * and SIGKILL when it takes longer than that and `timeoutMs`.
 * Afterwards no process, mount, cgroup, bridge or socket of it is left; images and caches stay for the next `up`.
 */
export async function down(
  state: RunnerState,
  { timeoutMs, now, keepSockets, onDrain }: DownOptions,
): Promise<DownResult> {
  const record = readRecord(state);
  if (record === undefined || !existsSync(record.rootfs)) return { stopped: false, killed: false };
  const container = runc(state, record);
  const before = await container.state();
  if (before === undefined) return { stopped: false, killed: false };
  let killed = false;
  if (before.status !== 'stopped') {
    const connections = now ? 0 : await openConnections(state);
    if (connections > 0) onDrain?.(connections);
    await container.kill('TERM');
    const hurry = now ? () => tryAgain(() => container.kill('TERM')) : undefined;
    killed = !(await ended(container, timeoutMs + (connections > 0 ? drainMs(state) : 0), hurry));
  }
  await removeLeftovers(state, record, { keepSockets: keepSockets === true });
  return { stopped: before.status !== 'stopped', killed };
}

/** Kills and removes the container, its cgroups, its engines' bridges and, unless they are kept, its sockets. */
export async function removeLeftovers(
  state: RunnerState,
  record: RunnerRecord,
  { keepSockets }: { readonly keepSockets: boolean },
): Promise<void> {
  const container = runc(state, record);
  if ((await container.state()) !== undefined) {
    await container.delete();
    await reaped(container.lastPid());
  }
  removeCgroups(state.cgroupsPath);
  await removeBridges(state, record);
  if (!keepSockets) rmSync(state.run, { recursive: true, force: true });
}

/** 0 too when the runner does not answer any more. */
async function openConnections(state: RunnerState): Promise<number> {
  try {
    return (await controlClient(state).engines()).engines.reduce((sum, { connections }) => sum + connections, 0);
  } catch {
    return 0;
  }
}

function drainMs(state: RunnerState): number {
  const { drainMs = DRAIN_MS } = readJson(join(state.etc, 'bedplated.json'), 'Use --now.') as { drainMs?: number };
  return drainMs;
}

/** bedplated's own default: docs/spec/runner.md. */
const DRAIN_MS = 300_000;

/** The second signal, again every second: two that come at once are one. The runner may have ended of the first. */
async function tryAgain(kill: () => Promise<unknown>): Promise<void> {
  try {
    await kill();
  } catch {
    // It has ended.
  }
}

async function ended(
  container: ReturnType<typeof runc>,
  timeoutMs: number,
  hurry?: () => Promise<void>,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let round = 0; performance.now() < deadline; round++) {
    if (round % HURRY_ROUNDS === 0) await hurry?.();
    const found = await container.state();
    if (found === undefined || found.status === 'stopped') return true;
    await sleep(ROUND_MS);
  }
  return false;
}

const ROUND_MS = 50;
const HURRY_ROUNDS = 20;

/** The container's first process is the host's init's to reap: some take a moment. */
async function reaped(pid: number): Promise<void> {
  for (let round = 0; pid > 0 && processRuns(pid) && round < 100; round++) await sleep(20);
}

/** runc removes the container's own cgroup; folders that were made below it, and the common parent when it is empty, are ours. */
function removeCgroups(cgroupsPath: string): void {
  const root = '/sys/fs/cgroup';
  const hierarchies = existsSync(join(root, 'cgroup.controllers'))
    ? [root]
    : readdirSync(root).map((name) => join(root, name));
  for (const hierarchy of hierarchies) {
    removeEmptyFolders(join(hierarchy, cgroupsPath));
    removeFolder(join(hierarchy, 'bedplate'));
  }
}

function removeEmptyFolders(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name));
  }
  removeFolder(folder);
}

/** rmdir only ever removes an empty cgroup: another runner's stays. */
function removeFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // In use, or not there.
  }
}
