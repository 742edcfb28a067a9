import { expect, test } from 'vitest';
import { isDnsName, isListenAddress, serverNames } from './names.ts';

test.each(['127.0.0.1:8443', '0.0.0.0:1', '[::1]:8443', '[::]:65535', ':8443'])('%s can be listened at', (address) => {
  expect(isListenAddress(address)).toBe(true);
});

test.each([
  '',
  '8443',
  '127.0.0.1',
  ':0',
  ':65536',
  ':x',
  '::1:8443',
  '[127.0.0.1]:1',
  '[]:1',
  'localhost:8443',
  '1.2.3:1',
])('%j cannot be listened at', (address) => expect(isListenAddress(address)).toBe(false));

test('DNS names', () => {
  expect(['bedplate', 'engines.example.org', '0-1.x'].filter((name) => !isDnsName(name))).toEqual([]);
  expect(['', '.', 'a.', '.a', 'A', 'a..b', '-a', 'a_b', 'a b', 'a'.repeat(64)].filter(isDnsName)).toEqual([]);
});

test('a server names its hosts, this host, and each kind of engine, once', () => {
  expect(serverNames(['buildkit', 'moby'], 'example.org', ['::1', 'b.example.org'])).toEqual([
    '::1',
    'b.example.org',
    'localhost',
    '127.0.0.1',
    'buildkit.example.org',
    '*.buildkit.example.org',
    'moby.example.org',
    '*.moby.example.org',
  ]);
});
