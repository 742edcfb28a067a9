import { existsSync, mkdirSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run, tryRun } from '../images/process.ts';
import { controlClient } from '../images/runner/control.ts';
import {
  BAKED,
  bedplate,
  bedplateJson,
  bootRunner,
  buildOn,
  eventually,
  removeFolder,
  runnerIn,
  running,
  type TestRunner,
  temporaryFolder,
} from './harness.ts';

const FLOOR = 128 * 1024 * 1024;
const DISK = 1200 * 1024 * 1024;
const work = temporaryFolder('disk');
const mount = join(work, 'mnt');
const settings = join(work, 'bedplated.json');
const filler = join(mount, 'filler');
let runner: TestRunner;

beforeAll(async () => {
  mkdirSync(mount);
  writeFileSync(join(work, 'image'), '');
  truncateSync(join(work, 'image'), DISK);
  await run('mkfs.ext4', ['-q', '-m', '0', join(work, 'image')]);
  await run('mount', ['-o', 'loop', join(work, 'image'), mount]);
  writeFileSync(settings, JSON.stringify({ disk: { freeBytes: FLOOR } }));
  runner = await bootRunner('disk', ['--settings', settings], join(mount, 'state'));
});
afterAll(async () => {
  await runner.down();
  await run('umount', [mount]);
  removeFolder(work);
});

const control = () => controlClient(runner.state);
const free = () => statfsSync(mount).bavail * statfsSync(mount).bsize;
const onDisk = async () =>
  (await control().lines()).filter(({ lastUsedAt }) => lastUsedAt !== '').map(({ line }) => line);
const build = (version: string, script: string) => buildOn(runner, version, running(script));

/** Takes all that is left. */
async function fill(): Promise<void> {
  const { stderr } = await tryRun('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M', 'oflag=append', 'conv=notrunc']);
  expect(stderr).toContain('No space left on device');
}

test('an image and a state line that were not used for longer than the limits go, what is pinned stays', async () => {
  for (const version of [BAKED, '0.29.0', '0.13.2']) {
    expect((await build(version, 'echo')).exitCode).toBe(0);
    await control().stop('buildkit', version);
  }
  expect((await onDisk()).sort()).toEqual(['0.13', '0.29', '0.34']);
  expect((await control().images()).map(({ version }) => version)).toEqual(['0.13.2', '0.29.0']);
  await bedplateJson(['down', '--now', ...runner.flag]);
  const disk = { freeBytes: FLOOR, lineMaxAgeMs: 1, imageMaxAgeMs: 1, pinned: ['buildkit/0.29.0'] };
  writeFileSync(settings, JSON.stringify({ disk }));
  await bedplateJson(['up', ...runner.flag, '--settings', settings]);
  runner = runnerIn(runner.state.folder);
  await eventually('the others have gone', async () => ((await onDisk()).length === 1 ? true : undefined));
  expect(await onDisk()).toEqual(['0.29']);
  expect((await control().images()).map(({ version }) => version)).toEqual(['0.29.0']);
  const log = (await bedplate(['logs', ...runner.flag])).stdout;
  expect(log).toMatch(/"removed from disk".*"buildkit\/0\.13".*not used for/);
});

test('a disk that is full: the runner says so, frees what nobody uses, and recovers by itself', async () => {
  await bedplateJson(['down', '--now', ...runner.flag]);
  writeFileSync(settings, JSON.stringify({ disk: { freeBytes: FLOOR } }));
  await bedplateJson(['up', ...runner.flag, '--settings', settings]);
  runner = runnerIn(runner.state.folder);
  for (const version of [BAKED, '0.29.0']) expect((await build(version, 'echo')).exitCode).toBe(0);
  await control().stop('buildkit', BAKED);
  await eventually('there is a reserve', () => existsSync(join(runner.state.data, 'reserve')) || undefined);

  await fill();
  const failed = await build('0.29.0', 'dd if=/dev/zero of=/big bs=1M count=300');
  expect([failed.exitCode, failed.stderr]).toEqual([1, expect.stringMatching(/no space left on device/i)]);
  const status = await eventually('status says so', async () => {
    const { stdout } = await bedplate(['status', ...runner.flag]);
    return stdout.includes('DISK FULL') ? stdout : undefined;
  });
  expect(status).toContain('ready');
  expect(await control().ready()).toMatchObject({ ready: true });
  // 0.34 was idle; 0.29 runs without anybody, so it is stopped, and goes too.
  await eventually('all caches have gone', async () => ((await onDisk()).length === 0 ? true : undefined));
  expect((await control().disk()).full).toBe(true);

  await bedplateJson(['down', '--now', ...runner.flag]);
  await fill();
  await bedplateJson(['up', ...runner.flag]);
  expect(await control().ready()).toMatchObject({ ready: true });
  removeFolder(filler);
  await eventually('it has room again', async () => (await control().disk()).full === false || undefined);
  for (const version of [BAKED, '0.29.0', '0.13.2']) expect((await build(version, 'echo')).exitCode).toBe(0);
  await eventually('the reserve is taken again', () => existsSync(join(runner.state.data, 'reserve')) || undefined);
});

test('a budget: the longest unused go until the rest fits, and the disk has its bytes back', async () => {
  const grown = 60 * 1024 * 1024;
  const before = free();
  for (const version of [BAKED, '0.29.0']) {
    const big = await build(version, `dd if=/dev/urandom of=/big bs=1M count=60`);
    expect(big.exitCode).toBe(0);
    await control().stop('buildkit', version);
  }
  await bedplateJson(['down', '--now', ...runner.flag]);
  const { stdout } = await tryRun('du', ['-s', '-B1', mount]);
  expect(Number(stdout.split('\t')[0])).toBeGreaterThan(2 * grown);
  // The images take more than the budget by themselves: they go by age, before it is looked at.
  const disk = { freeBytes: 0, budgetBytes: 1.5 * grown, imageMaxAgeMs: 1 };
  writeFileSync(settings, JSON.stringify({ disk }));
  await bedplateJson(['up', ...runner.flag, '--settings', settings]);
  await eventually('one has gone', async () => ((await onDisk()).includes('0.34') ? undefined : true));
  expect(await onDisk()).toContain('0.29');
  await bedplateJson(['prune', ...runner.flag, ...(await onDisk()).map((line) => `buildkit/${line}`)]);
  expect(before - free()).toBeLessThan(5e6);
});
