import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { smokeBuild } from '../../compat-matrix/smoke/smoke.ts';
import { smokeShell } from '../../scripts/commands/release.ts';
import { bootRunner, buildctl, CACHE, eventually, LOCK, leftovers, type TestRunner } from '../harness.ts';

const versions = LOCK.components.filter((c) => c.name === 'buildkit').map((c) => c.version);
let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('nightly', ['--idle', '1']);
});
afterAll(async () => {
  await runner.down();
  expect(await leftovers(runner.state)).toEqual([]);
});

describe.each(versions)('buildctl %s', (cli) => {
  test.each(versions)('builds with engine %s', async (engine) => {
    const target = { engine, cli, buildctl: await buildctl(cli), socket: runner.socket(engine) };
    expect(await smokeBuild(target, await smokeShell(LOCK, CACHE), `${cli}-${engine}-${Date.now()}`)).toMatchObject({
      status: 'pass',
      reason: '',
    });
  });
});

test('30 rounds of start and stop of every version leave what was there before', async () => {
  const lines = (path: string) => readFileSync(path, 'utf8').trim().split('\n').length;
  const count = async () => ({
    containers: await runner.ctr('bedplate', 'containers', 'ls', '-q'),
    mounts: lines(`/proc/${runner.pid()}/mountinfo`),
    processes: readdirSync(`/proc/${runner.pid()}/root/proc`).filter((name) => /^\d+$/.test(name)).length,
    descriptors: readdirSync(`/proc/${runner.pid()}/fd`).length,
    cgroups: readdirSync(join('/sys/fs/cgroup/pids', runner.state.cgroupsPath), { recursive: true }).filter(
      (n) => !String(n).includes('.'),
    ).length,
  });
  const allStopped = () =>
    eventually('every engine has stopped', async () =>
      (await runner.engines()).engines.every((e) => e.state === 'stopped') ? true : undefined,
    );
  const round = async (n: number) => {
    for (const version of versions) {
      const target = {
        engine: version,
        cli: version,
        buildctl: await buildctl(version),
        socket: runner.socket(version),
      };
      expect(
        await smokeBuild(target, await smokeShell(LOCK, CACHE), `round-${n}-${version}-${Date.now()}`),
      ).toMatchObject({ status: 'pass', reason: '' });
    }
    await allStopped();
  };
  await round(0);
  const before = await count();
  for (let n = 1; n <= 30; n++) await round(n);
  expect(await count()).toEqual(before);
});
