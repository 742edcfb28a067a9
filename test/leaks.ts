import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { controlClient } from '../images/runner/control.ts';
import { allStopped, cgroupsOf, eventually, processesOf, type TestRunner } from './harness.ts';

/** What a runner holds of its host. Names rather than numbers, so that a difference says what was left. */
export interface Census {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  /** Every file of its /run: sockets, FIFOs, bundles. */
  readonly run: readonly string[];
  readonly sockets: readonly string[];
  readonly descriptors: { readonly bedplated: Counts; readonly containerd: Counts };
  /** Containers, tasks, snapshots, blobs and leases, by containerd namespace. */
  readonly containerd: Readonly<Record<string, readonly string[]>>;
}

type Counts = Readonly<Record<string, number>>;

/** Counts everything, while no engine runs. */
export async function census(runner: TestRunner): Promise<Census> {
  const containerd = (await runner.engines()).runner.containerd.pid;
  const inContainerd = await containerdObjects(runner);
  // The connections that were made for all this end in a moment.
  await sleep(200);
  const proc = `/proc/${runner.pid()}`;
  return {
    processes: processesOf(runner.state)
      .map(({ command }) => command)
      .sort(),
    mounts: lines(join(proc, 'mountinfo'))
      .map((line) => line.split(' ')[4] ?? '')
      .sort(),
    cgroups: cgroupsOf(runner.state).flatMap(foldersBelow).sort(),
    run: filesBelow(join(proc, 'root/run')).sort(),
    sockets: unixSockets(runner),
    descriptors: { bedplated: descriptors(proc), containerd: descriptors(join(proc, 'root/proc', String(containerd))) },
    containerd: inContainerd,
  };
}

/** Does the work, and fails unless the runner then holds what it held before. Engines are stopped, or about to. */
export async function leavesNothing(runner: TestRunner, work: () => Promise<void>): Promise<Census> {
  await allStopped(runner);
  const before = await settledCensus(runner);
  await work();
  await allStopped(runner);
  // containerd collects garbage in its own time.
  await expect.poll(() => census(runner), { timeout: 30_000, interval: 1_000 }).toEqual(before);
  return before;
}

/** Counts until the same comes out twice: what has just ended may still be on its way out. */
async function settledCensus(runner: TestRunner): Promise<Census> {
  let last: Census | undefined;
  return eventually('what the runner holds stays the same', async () => {
    const before = last;
    last = await census(runner);
    return isDeepStrictEqual(last, before) ? last : undefined;
  });
}

/** A census in numbers, for people. */
export function figures({ descriptors: of, containerd, ...lists }: Census): Counts {
  const all = Object.values(containerd).flat();
  return {
    ...Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, list.length])),
    'descriptors of bedplated': total(of.bedplated),
    'descriptors of containerd': total(of.containerd),
    'containerd namespaces': Object.keys(containerd).length,
    ...countBy(all.map((line) => line.split(' ')[0] ?? '')),
  };
}

/** What bedplated has open, by kind or path. */
export function descriptorsOf(runner: TestRunner): Counts {
  return descriptors(`/proc/${runner.pid()}`);
}

/** How much more resident memory each may have after a lot of work: heaps breathe. */
export const RESIDENT_TOLERANCE_BYTES = 16 * 2 ** 20;

/** Resident memory, in bytes. */
export async function residentBytes(runner: TestRunner): Promise<{ bedplated: number; containerd: number }> {
  const { pid } = (await runner.engines()).runner.containerd;
  const proc = `/proc/${runner.pid()}`;
  const resident = (folder: string) =>
    Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(join(folder, 'status'), 'utf8'))?.[1]) * 1024;
  return { bedplated: resident(proc), containerd: resident(join(proc, 'root/proc', String(pid))) };
}

/** Frees what every state line has on disk. Engines are stopped. */
export async function pruneAll(runner: TestRunner): Promise<void> {
  const control = controlClient(runner.state);
  for (const { kind, line } of await control.lines()) await control.prune(kind, line);
}

async function containerdObjects(runner: TestRunner): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const namespace of (await runner.ctr('bedplate', 'namespaces', 'ls', '-q')).sort()) {
    const names = async (kind: string, ...args: string[]) =>
      (await runner.ctr(namespace, kind, 'ls', ...args)).map((line) => `${kind} ${line.trim().split(/\s+/)[0]}`);
    found[namespace] = [
      ...(await names('containers', '-q')),
      ...(await names('tasks', '-q')),
      ...(await names('snapshots')).slice(1),
      ...(await names('content', '-q')),
      ...(await names('leases', '-q')),
    ].sort();
  }
  return found;
}

/** The unix sockets that the runner's processes hold, those without a name left out: which are connected pairs. */
function unixSockets(runner: TestRunner): string[] {
  const held = new Set(processesOf(runner.state).flatMap(({ pid }) => links(`/proc/${pid}/fd`)));
  return lines(`/proc/${runner.pid()}/net/unix`)
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , , , , inode, path]) => path !== undefined && held.has(`socket:[${inode}]`))
    .map(([, , , flags, , , , path]) => `${flags === '00010000' ? 'listens' : 'connected'} ${path}`)
    .sort();
}

function descriptors(proc: string): Record<string, number> {
  return countBy(links(join(proc, 'fd')).map((target) => target.replace(/:\[\d+\]$/, '')));
}

function links(folder: string): string[] {
  return readdirOrNothing(folder).flatMap((name) => {
    try {
      return [readlinkSync(join(folder, name))];
    } catch {
      return []; // It has been closed.
    }
  });
}

function foldersBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) =>
    relative(folder, join(entry.parentPath, entry.name)),
  );
}

function readdirOrNothing(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Its process has ended.
  }
}

function lines(path: string): string[] {
  return readFileSync(path, 'utf8').trim().split('\n');
}

export function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names.toSorted()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
}
