import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tryRun } from '../images/process.ts';
import { controlClient } from '../images/runner/control.ts';
import { BAKED, bedplate, bootRunner, buildctl, removeFolder, type TestRunner, temporaryFolder } from './harness.ts';

const work = temporaryFolder('owner');
let runner: TestRunner;
beforeAll(async () => {
  const kind = join(work, 'buildkit');
  mkdirSync(join(kind, '0.29.0'), { recursive: true });
  writeFileSync(join(kind, 'ca.crt'), 'an authority');
  writeFileSync(join(kind, 'buildkitd.toml'), '[worker.containerd.labels]\n  rack = "all"\n');
  writeFileSync(join(kind, '0.29.0', 'buildkitd.toml'), '[worker.containerd.labels]\n  rack = "of 0.29.0"\n');
  runner = await bootRunner('owner', [
    '--engine-config',
    work,
    '--env',
    'NO_PROXY=a.example',
    '--env',
    'HTTPS_PROXY=http://p:1',
  ]);
});
afterAll(async () => {
  await runner.down();
  removeFolder(work);
});

async function workers(version: string) {
  const cli = await buildctl(BAKED);
  return tryRun(cli, ['--addr', `unix://${runner.socket(version)}`, 'debug', 'workers', '--verbose']);
}

test('pieces of buildkitd.toml reach every engine of the kind, and one version alone', async () => {
  expect((await workers(BAKED)).stdout).toMatch(/rack:\s+all/);
  expect((await workers('0.29.0')).stdout).toMatch(/rack:\s+of 0\.29\.0/);
});

test('an engine has the owner’s environment, and sees the files beside its configuration', async () => {
  await workers(BAKED);
  const { pid } = await runner.engine(BAKED);
  const inEngine = `/proc/${runner.pid()}/root/proc/${pid}`;
  const environment = readFileSync(`${inEngine}/environ`, 'utf8').split('\0');
  expect(environment).toEqual(expect.arrayContaining(['HTTPS_PROXY=http://p:1', 'NO_PROXY=a.example']));
  const { stdout } = await tryRun('cat', [`${inEngine}/root/etc/bedplate/engines/buildkit/ca.crt`]);
  expect(stdout).toBe('an authority');
});

test('a piece that cannot be: the client is told the file and the line; mended, the engine starts', async () => {
  await controlClient(runner.state).stop('buildkit', BAKED);
  const file = join(runner.state.etc, 'engines/buildkit/buildkitd.toml');
  const good = readFileSync(file, 'utf8');
  writeFileSync(file, 'debug = tru\n');
  const broken = await workers(BAKED);
  expect(broken.exitCode).not.toBe(0);
  expect(broken.stderr).toMatch(/\/etc\/bedplate\/engines\/buildkit\/buildkitd\.toml: line 1, column \d+/);
  writeFileSync(file, '[worker.containerd]\n  defaultCgroupParent = "/mine"\n');
  expect((await workers(BAKED)).stderr).toContain('worker.containerd.defaultCgroupParent is the runner');
  writeFileSync(file, good);
  await new Promise((resolve) => setTimeout(resolve, 1_500)); // the pause after two failures
  expect((await workers(BAKED)).exitCode).toBe(0);
});

test('wrong flags: which', async () => {
  expect((await bedplate(['up', '--state', join(work, 'never'), '--env', 'A B=c'])).exitCode).toBe(2);
  const missing = await bedplate(['up', '--state', join(work, 'never'), '--engine-config', join(work, 'nowhere')]);
  expect([missing.exitCode, missing.stderr]).toEqual([2, expect.stringContaining('there is no such folder')]);
});
