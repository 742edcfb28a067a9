import { expect, test } from 'vitest';
import { digestOf } from '../digest.ts';
import { layerPlan, planKey } from './plan.ts';

const zstd = { format: 'zstd', level: 3, frameBytes: 1 << 22 } as const;
const packer = digestOf('packer');

test('folders are added, and entries sorted by the bytes of their paths', () => {
  const plan = layerPlan(
    [
      { path: 'usr/lib-x', type: 'file', content: '' },
      { path: 'usr/lib/z', type: 'file', content: '' },
      { path: 'B', type: 'file', content: '' },
    ],
    1,
    zstd,
  );
  expect(plan.entries.map((e) => e.path)).toEqual(['B', 'usr', 'usr/lib', 'usr/lib-x', 'usr/lib/z']);
});

test('a path given twice is refused by name', () => {
  const twice = { path: 'etc/passwd', type: 'file', content: '' } as const;
  expect(() => layerPlan([twice, twice], 1, zstd)).toThrow('etc/passwd is given twice');
});

test('the key does not depend on where a source lies, but on its bytes, the date and the compression', () => {
  const of = (
    source: string,
    content: string,
    epoch = 1,
    compression: typeof zstd | { format: 'gzip'; level: 3; frameBytes: number } = zstd,
  ) => planKey(layerPlan([{ path: 'a', type: 'file', source, digest: digestOf(content) }], epoch, compression), packer);
  expect(of('/here/a', 'x')).toBe(of('/there/a', 'x'));
  expect(of('/here/a', 'x')).not.toBe(of('/here/a', 'y'));
  expect(of('/here/a', 'x')).not.toBe(of('/here/a', 'x', 2));
  expect(of('/here/a', 'x')).not.toBe(of('/here/a', 'x', 1, { format: 'gzip', level: 3, frameBytes: 1 << 22 }));
});
