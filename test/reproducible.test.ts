import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { bootstrapGo } from '../images/inputs/go-toolchain.ts';
import { run } from '../images/process.ts';
import type { ReleaseRecord } from '../release/local/record.ts';
import { bedplateJson, CACHE, copySources, makeFolder, ROOT, removeFolder, temporaryFolder } from './harness.ts';

const work = temporaryFolder('reproducible');
afterAll(() => removeFolder(work));

test('another folder, cache, home, umask, time zone and locale give the same digests', async () => {
  const here = await bedplateJson<ReleaseRecord>(['build', '--out', join(work, 'here')]);
  const there = join(work, 'another folder', 'checkout');
  await run('git', ['-c', 'safe.directory=*', 'clone', '--quiet', '--no-hardlinks', ROOT, there]);
  // What is changed but not committed is built here, so it is built there.
  copySources(there);
  const goCaches = await run(bootstrapGo(), ['env', 'GOCACHE', 'GOMODCACHE']);
  const [GOCACHE = '', GOMODCACHE = ''] = goCaches.stdout.trim().split('\n');
  const env = {
    HOME: makeFolder(join(work, 'home')),
    BEDPLATE_CACHE: join(work, 'cache of another name'),
    // Packages that Go has compiled are shared for time's sake; nightly compiles all of it again.
    GOCACHE,
    GOMODCACHE,
    TZ: 'Pacific/Chatham',
    LC_ALL: 'tr_TR.UTF-8',
    GOMAXPROCS: '1',
    GOFLAGS: '-ldflags=-X=main.version=wrong',
    CGO_CFLAGS: '-O0',
  };
  // The .deb files are not fetched twice.
  cpSync(join(CACHE, 'debian'), join(env.BEDPLATE_CACHE, 'debian'), { recursive: true });
  const before = process.umask(0o077);
  try {
    const second = await bedplateJson<ReleaseRecord>(['build', '--out', join(work, 'there')], { env, root: there });
    expect(second.steps.filter(({ name }) => name.startsWith('compile')).every(({ cached }) => !cached)).toBe(true);
    expect(second.images.map(({ name, version, digest }) => [name, version, digest])).toEqual(
      here.images.map(({ name, version, digest }) => [name, version, digest]),
    );
  } finally {
    process.umask(before);
  }
}, 900_000);
