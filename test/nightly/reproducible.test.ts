import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ReleaseRecord } from '../../release/local/record.ts';
import { bedplateJson, removeFolder, temporaryFolder } from '../harness.ts';

const work = temporaryFolder('nightly-reproducible');
afterAll(() => removeFolder(work));

test('everything compiled again from nothing, with an empty Go build cache, gives the same digests', async () => {
  const here = await bedplateJson<ReleaseRecord>(['build', '--out', join(work, 'here')]);
  const env = { BEDPLATE_CACHE: join(work, 'cache'), GOCACHE: join(work, 'go-build') };
  const again = await bedplateJson<ReleaseRecord>(['build', '--out', join(work, 'again')], { env });
  expect(again.images.map((i) => i.digest)).toEqual(here.images.map((i) => i.digest));
});
