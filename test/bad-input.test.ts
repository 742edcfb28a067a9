import { chownSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bootstrapGo } from '../images/inputs/go-toolchain.ts';
import { tryRun } from '../images/process.ts';
import {
  BAKED,
  bedplate,
  bedplateJson,
  bootRunner,
  CACHE,
  copySources,
  ensureBuilt,
  LAYOUT,
  leftovers,
  makeFolder,
  ROOT,
  removeFolder,
  runnerIn,
  type TestRunner,
  temporaryFolder,
} from './harness.ts';

const work = temporaryFolder('bad');
let runner: TestRunner;
beforeAll(async () => {
  await ensureBuilt();
  runner = await bootRunner('busy');
});
afterAll(async () => {
  await runner.down();
  removeFolder(work);
});

/** A config file with one thing changed, in a place from where its imports resolve. */
function configWith(name: string, from: string, to: string): string {
  const text = readFileSync(join(ROOT, 'bedplate.config.ts'), 'utf8');
  expect(text).toContain(from);
  const path = join(work, `${name}.config.ts`);
  writeFileSync(path, text.replace(from, to).replaceAll("'./images/", `'${ROOT}/images/`));
  return path;
}

test('an unknown engine or CLI version: what there is, exit code 1', async () => {
  const engine = await bedplate(['exec', ...runner.flag, '--engine', '9.9', '--', 'buildctl', '--version']);
  expect(engine.exitCode).toBe(1);
  expect(engine.stderr).toContain('no buildkit engine of version 9.9');
  expect(engine.stderr).toContain(BAKED);
  const cli = await bedplate(['exec', ...runner.flag, '--engine', '0.13', '--cli', '7', '--', 'buildctl', '--version']);
  expect(cli.stderr).toContain('no buildctl of version 7 in the lock');
  const range = await bedplate(['exec', ...runner.flag, '--engine', 'newest', '--', 'buildctl', '--version']);
  expect([range.exitCode, range.stderr]).toEqual([2, expect.stringContaining('not a version range')]);
});

test('an unknown command or flag: exit code 2', async () => {
  expect((await bedplate(['bild'])).exitCode).toBe(2);
  expect((await bedplate(['build', '--colour'])).exitCode).toBe(2);
  expect((await bedplate(['build', '--compression', 'brotli'])).exitCode).toBe(2);
});

test('a config with a wrong field: the field’s name, and nothing is made', async () => {
  const config = configWith('field', "bake: 'buildkit'", "bake: 'buildkit', colour: 'red'");
  const out = join(work, 'never');
  const { exitCode, stderr } = await bedplate(['--config', config, 'build', '--out', out]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/runner: Unrecognized key: "colour"/);
  expect(existsSync(out)).toBe(false);
});

test('a lock that does not fit its config: both named, and what is missing', async () => {
  const config = configWith('lock', "'0.16.0'", "'0.17.3'");
  const { exitCode, stderr } = await bedplate(['--config', config, 'build', '--out', join(work, 'never')]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('bedplate.lock.json was made from another config');
  expect(stderr).toContain('it has no buildkit 0.17.3');
  expect(stderr).toContain('./bedplate lock');
});

test('a missing compiler: its name and the way out, and nothing half-made', async () => {
  const env = { BEDPLATE_GO: join(work, 'no-such-go'), BEDPLATE_CACHE: join(work, 'cache') };
  const out = join(work, 'never');
  const { exitCode, stderr } = await bedplate(['build', '--out', out], { env });
  expect(exitCode).toBe(1);
  expect(stderr).toContain('the Go compiler is missing');
  expect(stderr).toContain('./bedplate');
  expect(existsSync(out)).toBe(false);
  const files = readdirSync(env.BEDPLATE_CACHE, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  expect(files).toEqual([]);
});

test('a locked package that cannot be had: its name and where it was looked for', async () => {
  const folder = makeFolder(join(work, 'no-apt'));
  writeFileSync(join(folder, 'apt-get'), '#!/bin/sh\necho "E: Version was not found" >&2\nexit 100\n', { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env.PATH}`, BEDPLATE_CACHE: join(work, 'cache-without-apt') };
  const { exitCode, stderr } = await bedplate(['build', '--out', join(work, 'never')], { env });
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/ca-certificates \S+ \(all\) is locked but cannot be had: E: Version was not found/);
  expect(stderr).toContain('the apt sources of this machine');
  expect(stderr).toContain('bedplate lock --update debian');
});

test('no root: said before anything is begun', async () => {
  const state = join(work, 'state-of-nobody');
  const args = [
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    process.execPath,
    join(ROOT, 'scripts/cli.ts'),
    'up',
    '--state',
    state,
  ];
  const { exitCode, stderr } = await tryRun('setpriv', args);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('needs root');
  expect(stderr).toContain('sudo ./bedplate up');
  expect(existsSync(state)).toBe(false);
});

test('a busy state folder: who has it, and the way out; the one that runs is not touched', async () => {
  const before = (await runner.engines()).runner;
  const { exitCode, stderr } = await bedplate(['up', ...runner.flag]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`${runner.state.folder} is in use`);
  expect(stderr).toContain(`./bedplate down --state ${runner.state.folder}`);
  expect((await runner.engines()).runner).toEqual(before);
});

test('a corrupted blob: its path, and nothing is booted; build mends it', async () => {
  const out = join(work, 'corrupt');
  await bedplateJson(['build', '--out', out]);
  const layout = join(out, 'oci');
  const release = JSON.parse(readFileSync(join(out, 'release.json'), 'utf8')) as { images: { layers: string[] }[] };
  const blob = join(layout, 'blobs/sha256', release.images[0]?.layers[1]?.slice('sha256:'.length) ?? '');
  const bytes = readFileSync(blob);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(blob, bytes);
  const state = join(work, 'never-up');
  const { exitCode, stderr } = await bedplate(['up', '--state', state, '--layout', layout]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`${blob} is corrupt`);
  expect(stderr).toContain('./bedplate build');
  expect(existsSync(state)).toBe(false);
  await bedplateJson(['build', '--out', out]);
  await bedplateJson(['up', '--state', state, '--layout', layout]);
  await runnerIn(state).down();
});

test('a layout that is none', async () => {
  const { exitCode, stderr } = await bedplate(['up', '--state', join(work, 'never-up'), '--layout', work]);
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('is not an OCI image layout')]);
});

test('a socket path that is too long: its length, and nothing is made', async () => {
  const state = join(work, 'x'.repeat(100));
  const { exitCode, stderr } = await bedplate(['up', '--state', state]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/has \d+ bytes; a socket's path has at most 107/);
  expect(stderr).toMatch(/at least \d+ bytes shorter/);
  expect(existsSync(state)).toBe(false);
});

test('a runner that does not come up: its last lines, and nothing of it is left', async () => {
  const out = join(work, 'broken');
  cpSync(LAYOUT, join(out, 'oci'), { recursive: true });
  const state = join(work, 'broken-state');
  // A file where bedplated needs a folder.
  makeFolder(join(state, 'data'));
  writeFileSync(join(state, 'data', 'containerd'), 'not a folder');
  const { exitCode, stderr } = await bedplate(['up', '--state', state, '--layout', join(out, 'oci')]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('did not come up');
  expect(stderr).toContain('/var/lib/bedplate/containerd');
  expect(await leftovers(runnerIn(state).state)).toEqual([]);
});

test('no runner: said by name, with the way out', async () => {
  const { exitCode, stderr } = await bedplate([
    'exec',
    '--state',
    join(work, 'nowhere'),
    '--engine',
    '0.34',
    '--',
    'buildctl',
    '--version',
  ]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('no runner is up there');
  expect((await bedplate(['status', '--state', join(work, 'nowhere')])).exitCode).toBe(1);
});

test('sudo leaves nothing of root’s in the checkout or the user’s caches', async () => {
  const user = 12345;
  const home = makeFolder(join(work, 'user'));
  const checkout = makeFolder(join(home, 'checkout'));
  copySources(checkout);
  await tryRun('chown', ['-hR', `${user}:${user}`, home]);
  chownSync(home, user, user);
  const caches = (await tryRun(bootstrapGo(), ['env', 'GOMODCACHE'])).stdout.trim();
  const env = {
    HOME: home,
    SUDO_UID: String(user),
    SUDO_GID: String(user),
    GOMODCACHE: caches,
    BEDPLATE_CACHE: join(home, '.cache/bedplate'),
  };
  // All that is compiled is there: what is looked at is who owns the rest.
  cpSync(CACHE, env.BEDPLATE_CACHE, { recursive: true });
  await bedplateJson(['build'], { env, root: checkout });
  const owned = (await tryRun('find', [home, '-uid', '0'])).stdout;
  expect(owned).toBe('');
  const plain = [
    '--reuid',
    String(user),
    '--regid',
    String(user),
    '--clear-groups',
    process.execPath,
    join(checkout, 'scripts/cli.ts'),
    'build',
    '--json',
  ];
  await tryRun('chmod', ['a+rx', work]);
  const again = await tryRun('setpriv', plain, { env: { ...(process.env as Record<string, string>), ...env } });
  expect([again.exitCode, again.stderr]).toEqual([0, '']);
});
