import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ReleaseRecord } from '../release/local/record.ts';
import { BAKED, bedplateJson, ensureBuilt, removeFolder, temporaryFolder } from './harness.ts';

const out = temporaryFolder('release');
let first: ReleaseRecord;

beforeAll(async () => {
  await ensureBuilt();
  first = await bedplateJson<ReleaseRecord>(['release', '--local', '--out', out]);
});
afterAll(() => removeFolder(out));

test('ends with the runner and the engines, and two smoke builds that passed', () => {
  expect(first.images.map(({ name, kind, version }) => `${kind} ${name}:${version}`)).toEqual(
    expect.arrayContaining(['runner runner:0.1.0', `engine engine-buildkit:${BAKED}`, 'engine engine-buildkit:0.13.2']),
  );
  expect(first.smoke.map(({ engine, status }) => `${engine}: ${status}`)).toEqual([
    `buildkit ${BAKED}: pass`,
    'buildkit 0.13.2: pass',
  ]);
  expect(JSON.parse(readFileSync(join(out, 'release.json'), 'utf8'))).toEqual(first);
});

test('the baked engine’s layer in the runner is the very blob of the engine image', () => {
  const layersOf = (name: string, version: string) =>
    first.images.find((i) => i.name === name && i.version === version)?.layers ?? [];
  const engine = layersOf('engine-buildkit', BAKED);
  expect(engine).toHaveLength(2);
  expect(layersOf('runner', '0.1.0')).toEqual(expect.arrayContaining([...engine]));
});

test('run again with nothing changed it builds nothing', async () => {
  const again = await bedplateJson<ReleaseRecord>(['release', '--local', '--out', out]);
  const builds = again.steps.filter(({ name }) => /^(compile|layer|layout)/.test(name));
  expect(builds.length).toBeGreaterThan(10);
  expect(builds.filter(({ cached }) => !cached)).toEqual([]);
  expect(again.images).toEqual(first.images.map((image) => ({ ...image, reused: true })));
});
