import { expect, test } from 'vitest';
import { currentCapabilities, groupId, openFilesLimit, readHost } from './host.ts';

test('capabilities are the effective ones that the bounding set allows', () => {
  const status = 'Name:\tnode\nCapEff:\t000001ffffffffff\nCapBnd:\t000001fffeffffff\n';
  const found = currentCapabilities(status);
  expect(found).toContain('CAP_SYS_ADMIN');
  expect(found).not.toContain('CAP_SYS_RESOURCE');
  expect(found).toHaveLength(40);
  expect(currentCapabilities('CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n')).toEqual([]);
});

test('the limit of open files is the hard one', () => {
  expect(openFilesLimit('Max open files            1024                 524288               files     \n')).toBe(
    524288,
  );
  expect(openFilesLimit('Max open files            1024                 unlimited            files     \n')).toBe(
    1_048_576,
  );
});

test('devices are read from this host', () => {
  expect(readHost().devices).toContainEqual(
    expect.objectContaining({ path: '/dev/null', type: 'c', major: 1, minor: 3 }),
  );
});

test('a group has an id by name and by number', () => {
  expect(groupId('root')).toBe(0);
  expect(groupId('4711')).toBe(4711);
  expect(groupId('no-such-group-here')).toBeUndefined();
});
