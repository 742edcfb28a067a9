import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { smokeBuild } from '../compat-matrix/smoke/smoke.ts';
import { digestOf, hexOf } from '../images/digest.ts';
import { blobPath } from '../images/oci/layout.ts';
import type { Descriptor, ImageConfig, Index, Manifest } from '../images/oci/types.ts';
import { tryRun } from '../images/process.ts';
import { smokeShell } from '../scripts/commands/release.ts';
import {
  BAKED,
  bedplate,
  bedplateJson,
  bootRunner,
  buildctl,
  CACHE,
  eventually,
  LAYOUT,
  LOCK,
  removeFolder,
  runnerIn,
  type TestRunner,
  temporaryFolder,
  VERSIONS,
} from './harness.ts';

const work = temporaryFolder('upgrade');
/** The same runner in other bytes. */
const other = join(work, 'gzip');
let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('upgraded', ['--idle', '3']);
  await bedplateJson(['build', '--compression', 'gzip', '--out', other]);
});
afterAll(async () => {
  await runner.down();
  removeFolder(work);
});

/** A layout whose runner does not start: its image names a program that it does not have. */
function brokenLayout(): string {
  const layout = join(work, 'broken', 'oci');
  cpSync(LAYOUT, layout, { recursive: true });
  const read = <T>({ digest }: { digest: Descriptor['digest'] }) =>
    JSON.parse(readFileSync(blobPath(layout, digest), 'utf8')) as T;
  const write = <T extends Descriptor>(descriptor: T, value: unknown): T => {
    const bytes = JSON.stringify(value);
    const digest = digestOf(bytes);
    writeFileSync(join(layout, 'blobs/sha256', hexOf(digest)), bytes);
    return { ...descriptor, digest, size: Buffer.byteLength(bytes) };
  };
  const top = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Index;
  const manifests = top.manifests.map((entry) => {
    const index = read<Index>(entry);
    if (entry.annotations?.['org.opencontainers.image.ref.name']?.startsWith('runner:') !== true) return entry;
    const inner = index.manifests.map((child) => {
      const manifest = read<Manifest>(child);
      const config = read<ImageConfig>(manifest.config);
      const broken = { ...config, config: { ...config.config, Entrypoint: ['/opt/bedplate/runner/bin/nothing'] } };
      return write(child, { ...manifest, config: write(manifest.config, broken) });
    });
    return write(entry, { ...index, manifests: inner });
  });
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ ...top, manifests }));
  return layout;
}

async function build(version: string) {
  const target = { engine: version, cli: version, buildctl: await buildctl(version), socket: runner.socket(version) };
  return smokeBuild(target, await smokeShell(LOCK, CACHE), `upgrade-${version}-${Math.random()}`);
}

test('ten clients that build in a loop lose no build while the runner is replaced, there and back', async () => {
  let going = true;
  const client = async (n: number) => {
    const version = VERSIONS[n % VERSIONS.length] ?? BAKED;
    let builds = 0;
    for (; going; builds++) expect(await build(version)).toMatchObject({ status: 'pass', reason: '' });
    return builds;
  };
  const clients = Array.from({ length: 10 }, (_, n) => client(n));
  const digest = async () =>
    (await bedplateJson<{ runner: { digest: string } }>(['status', ...runner.flag])).runner.digest;
  const before = await digest();
  const settings = readFileSync(join(runner.state.etc, 'bedplated.json'), 'utf8');
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  await bedplateJson(['upgrade', ...runner.flag, '--layout', join(other, 'oci')]);
  runner = runnerIn(runner.state.folder);
  expect(await digest()).not.toBe(before);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  await bedplateJson(['upgrade', ...runner.flag]);
  runner = runnerIn(runner.state.folder);
  expect(await digest()).toBe(before);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  going = false;
  for (const builds of await Promise.all(clients)) expect(builds).toBeGreaterThan(1);
  expect(readFileSync(join(runner.state.etc, 'bedplated.json'), 'utf8')).toBe(settings);
  await eventually('the stand-ins have ended', async () =>
    (await tryRun('pgrep', ['--full', `bedplated stand-in ${runner.state.folder}`])).exitCode === 1 ? true : undefined,
  );
});

test('a new runner that does not come up: the old one is up again, and who waited is served', async () => {
  const layout = brokenLayout();
  const upgrading = bedplate(['upgrade', ...runner.flag, '--layout', layout]);
  await eventually('the old runner has gone', async () =>
    (await runner.engines().catch(() => undefined)) === undefined ? true : undefined,
  );
  const waiting = build(BAKED);
  const { exitCode, stderr } = await upgrading;
  expect(exitCode).toBe(1);
  expect(stderr).toContain('did not come up');
  expect(stderr).toMatch(/The old runner \S+ is up again/);
  expect(await waiting).toMatchObject({ status: 'pass', reason: '' });
  expect((await bedplate(['status', ...runner.flag])).exitCode).toBe(0);
});

test('nothing to upgrade is said, and nothing is made', async () => {
  const state = join(work, 'nowhere');
  const { exitCode, stderr } = await bedplate(['upgrade', '--state', state]);
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('there is nothing to upgrade')]);
  expect(existsSync(state)).toBe(false);
});
