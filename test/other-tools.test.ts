import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compile } from '../images/compile/compile.ts';
import { components } from '../images/components.ts';
import { programNamed } from '../images/engines/engine-image.ts';
import { run, start, tryRun } from '../images/process.ts';
import {
  BAKED,
  bedplateJson,
  CACHE,
  CONFIG,
  ensureBuilt,
  eventually,
  LAYOUT,
  LOCK,
  makeFolder,
  ROOT,
  removeFolder,
  temporaryFolder,
} from './harness.ts';

const work = temporaryFolder('tools');
beforeAll(() => ensureBuilt());
afterAll(() => removeFolder(work));

const ENGINE = `engine-buildkit:${BAKED}`;
const DAEMON = `opt/bedplate/engines/buildkit/${BAKED}/bin/buildkitd`;

test('skopeo inspects the layout and copies it, digests unchanged', async () => {
  const inspected = JSON.parse((await run('skopeo', ['inspect', `oci:${LAYOUT}:runner:0.1.0`])).stdout) as {
    Architecture: string;
    Layers: string[];
    Labels: Record<string, string>;
  };
  expect(inspected.Architecture).toBe('amd64');
  expect(inspected.Layers).toHaveLength(3);
  expect(inspected.Labels['org.opencontainers.image.licenses']).toBe('Apache-2.0');
  await run('skopeo', ['copy', '--all', `oci:${LAYOUT}:${ENGINE}`, `oci:${join(work, 'copy')}:${ENGINE}`]);
  const digestIn = (layout: string) =>
    (
      JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
        manifests: { digest: string; annotations: Record<string, string> }[];
      }
    ).manifests.find((m) => m.annotations['org.opencontainers.image.ref.name'] === ENGINE)?.digest;
  expect(digestIn(join(work, 'copy'))).toBe(digestIn(LAYOUT));
});

test('umoci unpacks the gzip build', async () => {
  const out = join(work, 'gzip');
  await bedplateJson(['build', '--compression', 'gzip', '--out', out]);
  await run('umoci', ['unpack', '--image', `${join(out, 'oci')}:${ENGINE}`, join(work, 'bundle')]);
  const daemon = statSync(join(work, 'bundle/rootfs', DAEMON));
  expect(daemon.mode & 0o777).toBe(0o755);
  expect((await tryRun(join(work, 'bundle/rootfs', DAEMON), ['--version'])).stdout).toContain(`v${BAKED}`);
});

test('containerd imports the layout and mounts what is in it', async () => {
  const { containerd } = components({
    root: ROOT,
    config: CONFIG,
    lock: LOCK,
    platform: 'linux/amd64',
    host: 'linux/amd64',
  });
  const compiled = await compile(containerd, { lock: LOCK, cache: CACHE });
  const ctr = programNamed(compiled, 'ctr').path;
  const socket = join(work, 'containerd.sock');
  const folders = ['--root', makeFolder(join(work, 'root')), '--state', makeFolder(join(work, 'state'))];
  const log = openSync(join(work, 'containerd.log'), 'w');
  const daemon = start(programNamed(compiled, 'containerd').path, [...folders, '--address', socket], log);
  try {
    await eventually('containerd answers', async () =>
      (await tryRun(ctr, ['-a', socket, 'version'])).exitCode === 0 ? true : undefined,
    );
    await run('sh', ['-c', 'tar -C "$0" -c . | "$1" -a "$2" images import --index-name all -', LAYOUT, ctr, socket]);
    const images = (await run(ctr, ['-a', socket, 'images', 'ls', '-q'])).stdout;
    expect(images).toContain(ENGINE);
    const name = images.split('\n').find((line) => line.endsWith(ENGINE)) ?? '';
    await run(ctr, ['-a', socket, 'images', 'mount', name, makeFolder(join(work, 'mounted'))]);
    expect(existsSync(join(work, 'mounted', DAEMON))).toBe(true);
    await run(ctr, ['-a', socket, 'images', 'unmount', '--rm', join(work, 'mounted')]);
  } finally {
    daemon.kill('SIGTERM');
    await daemon.ended;
    closeSync(log);
    // `ctr images mount` leaves a mount of containerd's own to its garbage collector, which may not have come to it.
    for (const path of mountsBelow(work).reverse()) await run('umount', [path]);
  }
});

/** The mount points below a folder, outer ones first: the fifth field of a line of /proc/self/mountinfo (proc(5)). */
function mountsBelow(folder: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n');
  return lines.map((line) => line.split(' ')[4] ?? '').filter((path) => path.startsWith(`${folder}/`));
}
