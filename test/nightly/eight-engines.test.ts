import { readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SmokeResult } from '../../compat-matrix/smoke/smoke.ts';
import type { Config } from '../../images/config.ts';
import { digestOfFile } from '../../images/digest.ts';
import { buildkit } from '../../images/engines/buildkit/buildkit.ts';
import { checkedLock } from '../../images/lock/read.ts';
import { run, tryRun } from '../../images/process.ts';
import { diskUsage } from '../../images/runner/disk.ts';
import { connectEngine } from '../engine-connection.ts';
import {
  allStopped,
  BAKED,
  bedplateJson,
  type Checkout,
  CONFIG,
  copySources,
  leftovers,
  makeFolder,
  removeFolder,
  runnerIn,
  smoke,
  startsOf,
  type TestRunner,
  temporaryFolder,
  versionOver,
} from '../harness.ts';
import { countBy, figures, leavesNothing, pruneAll, RESIDENT_TOLERANCE_BYTES, residentBytes } from '../leaks.ts';

/** Eight minors, which can all run at once, and a second patch of one of them, which takes turns with the first. */
const MINORS = ['0.34.2', '0.29.0', '0.27.1', '0.23.2', '0.20.2', '0.16.0', '0.13.2', '0.12.5'];
const ALL = [...MINORS, '0.23.0'];
const MINUTES = Number(process.env.BEDPLATE_LOOP_MINUTES ?? 20);
/** Laps are of one size, so that none needs more of containerd's database, which keeps its size, than the one before. */
const LAP_ROUNDS = 12;
/** How much more there may be afterwards: databases grow in steps, logs are rotated. */
const MOST = { diskBytes: 2 ** 20, files: 20 };

const work = temporaryFolder('eight');
/** A file system that nobody else writes to. */
const disk = makeFolder(join(work, 'disk'));
let checkout: Checkout;
let runner: TestRunner;
beforeAll(async () => {
  checkout = await checkoutOfAll();
  await run('mount', ['-t', 'tmpfs', '-o', 'size=4g', 'tmpfs', disk]);
  const state = join(disk, 'state');
  await bedplateJson(['up', '--state', state, '--layout', join(checkout.root, 'dist', 'oci'), '--idle', '1']);
  runner = runnerIn(state);
});
afterAll(async () => {
  await runner?.down();
  if (runner !== undefined) expect(await leftovers(runner.state)).toEqual([]);
  await tryRun('umount', [disk]);
  removeFolder(work);
});

/** A copy of this checkout whose config lists all nine versions, locked and built as its owner would. */
async function checkoutOfAll(): Promise<Checkout> {
  const root = makeFolder(join(work, 'checkout'));
  copySources(root);
  const path = join(root, 'bedplate.config.ts');
  const list = ALL.map((version) => `'${version}'`).join(', ');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/versions: \[[^\]]*\]/, `versions: [${list}]`));
  console.log(`locking ${ALL.join(', ')}`);
  await bedplateJson(['lock'], { root });
  console.log('building; what no cache has takes about a minute a version');
  await bedplateJson(['build'], { root });
  const config: Config = { ...CONFIG, engines: [{ kind: buildkit, versions: ALL }] };
  return { root, config, lock: checkedLock(root, config) };
}

test('eight engines run at once, each with a binary of its own, each the version that its socket says', async () => {
  const connections = MINORS.map((version) => connectEngine(runner.socket(version)));
  expect(await Promise.all(connections.map((connection) => connection.version()))).toEqual(MINORS);

  const engines = await Promise.all(MINORS.map((version) => runner.engine(version)));
  expect(engines.map(({ state }) => state)).toEqual(MINORS.map(() => 'running'));
  const binaries = await Promise.all(
    engines.map(({ pid }) => digestOfFile(`/proc/${runner.pid()}/root/proc/${pid}/exe`)),
  );
  expect(new Set(binaries).size).toBe(MINORS.length);
  expect(await Promise.all(MINORS.map((version) => versionOver(runner.socket(version))))).toEqual(MINORS);

  const builds = await Promise.all(MINORS.map((version) => smoke(runner, version, { checkout })));
  expect(lost(builds)).toEqual([]);
  // The very processes of before: nobody had to make room.
  expect((await Promise.all(MINORS.map((version) => runner.engine(version)))).map(({ pid }) => pid)).toEqual(
    engines.map(({ pid }) => pid),
  );
  await Promise.all(connections.map((connection) => connection.close()));
});

const lost = (results: readonly SmokeResult[]) => results.filter(({ status }) => status !== 'pass');

/** One client that goes through all versions: up by the engine's own CLI, or down by the newest one. */
async function client(direction: 'up' | 'down'): Promise<SmokeResult[]> {
  const results: SmokeResult[] = [];
  const order = direction === 'up' ? ALL : ALL.toReversed();
  for (let n = 0; n < LAP_ROUNDS; n++) {
    for (const version of order) {
      const cli = direction === 'up' ? version : BAKED;
      results.push(await smoke(runner, version, { checkout, cli }));
    }
  }
  return results;
}

/** Two clients at once; what they have left in caches is pruned then, so that every lap begins and ends with the same. */
async function lap(): Promise<SmokeResult[]> {
  const results = await Promise.all([client('up'), client('down')]);
  await allStopped(runner);
  await pruneAll(runner);
  return results.flat();
}

/** What the runner takes of its file system, and what is free there. Logs, which have a bound of their own, are left out. */
function onDisk() {
  const logBytes = diskUsage(join(runner.state.data, 'log')) + diskUsage(dirname(runner.state.log));
  const { bavail, bsize, ffree } = statfsSync(disk);
  return {
    usedBytes: diskUsage(runner.state.folder) - logBytes,
    freeBytes: bavail * bsize + logBytes,
    freeFiles: ffree,
    logBytes,
  };
}

async function measure() {
  return { ...onDisk(), residentBytes: await residentBytes(runner), starts: await startsOf(runner) };
}

test(
  `${MINUTES} minutes of switching lose no build, and leave disk, memory and mounts as they were`,
  async () => {
    expect(lost(await lap())).toEqual([]);

    const results: SmokeResult[] = [];
    const before = await measure();
    const held = await leavesNothing(runner, async () => {
      const began = performance.now();
      const minutes = () => (performance.now() - began) / 60_000;
      while (minutes() < MINUTES) {
        results.push(...(await lap()));
        const counted = `${results.length} builds, ${lost(results).length} lost`;
        console.log(`${minutes().toFixed(1)} minutes: ${counted}`, JSON.stringify(await measure()));
      }
    });
    const after = await measure();
    const builds = countBy(results.map(({ engine }) => engine));
    console.log(builds, { before, after }, 'held before as after:', figures(held));

    expect(lost(results)).toEqual([]);
    // Switching is starting: an engine has been stopped, as a rule, by the time its turn comes again.
    expect(after.starts - before.starts).toBeGreaterThan(results.length / 4);
    expect(after.usedBytes - before.usedBytes).toBeLessThan(MOST.diskBytes);
    expect(before.freeBytes - after.freeBytes).toBeLessThan(MOST.diskBytes);
    expect(before.freeFiles - after.freeFiles).toBeLessThan(MOST.files);
    expect(after.residentBytes.bedplated - before.residentBytes.bedplated).toBeLessThan(RESIDENT_TOLERANCE_BYTES);
    expect(after.residentBytes.containerd - before.residentBytes.containerd).toBeLessThan(RESIDENT_TOLERANCE_BYTES);
  },
  (MINUTES + 15) * 60_000,
);
