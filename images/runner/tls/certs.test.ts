import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CertsOptions, type CertsResult, makeCerts } from './certs.ts';
import { readTlsFiles } from './place.ts';

const NOW = new Date('2026-01-02T03:04:05Z');
const ALL = ['ca.key', 'ca.crt', 'server.key', 'server.crt', 'client.key', 'client.crt'];

let parent: string;
let folder: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'bedplate-certs-'));
  folder = join(parent, 'certs');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

function make(change: Partial<CertsOptions> = {}): Promise<CertsResult> {
  const names = ['localhost', '127.0.0.1', '::1', '*.buildkit.bedplate'];
  return makeCerts({ folder, names, client: 'client', days: 30, force: false, now: NOW, ...change });
}
const read = (name: string) => readFileSync(join(folder, name), 'utf8');
const cert = (name: string) => new X509Certificate(read(name));
const contents = () => Object.fromEntries(readdirSync(folder).map((name) => [name, read(name)]));

test('an authority, a server and a client, keys for their owner alone', async () => {
  expect(await make()).toEqual({ folder, made: ALL, kept: [] });
  expect(readdirSync(folder).sort()).toEqual(ALL.toSorted());
  for (const name of ALL) expect(statSync(join(folder, name)).mode & 0o777).toBe(name.endsWith('.key') ? 0o600 : 0o644);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  const [ca, server, client] = [cert('ca.crt'), cert('server.crt'), cert('client.crt')];
  expect([ca.ca, server.ca, client.ca]).toEqual([true, false, false]);
  for (const leaf of [server, client]) {
    expect([leaf.verify(ca.publicKey), leaf.checkIssued(ca)]).toEqual([true, true]);
    expect(leaf.validToDate.toISOString()).toBe('2026-02-01T03:04:05.000Z');
  }
  expect(server.checkIP('::1')).toBe('::1');
  expect(server.checkHost('0-29-0.buildkit.bedplate')).toBe('*.buildkit.bedplate');
  expect(server.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect(client.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  expect(client.subject).toBe('CN=client');
  expect(readTlsFiles(folder).map(([name]) => name)).not.toContain('ca.key');
});

test('a second run changes nothing, or adds a client', async () => {
  await make();
  const before = contents();
  expect((await make()).made).toEqual([]);
  expect(contents()).toEqual(before);
  expect((await make({ client: 'alice' })).made).toEqual(['alice.key', 'alice.crt']);
  expect(contents()).toMatchObject(before);
  expect(cert('alice.crt').verify(cert('ca.crt').publicKey)).toBe(true);
});

test('what a killed run began is finished, with the keys that are there', async () => {
  await make();
  const before = contents();
  for (const name of ['ca.crt', 'client.crt']) rmSync(join(folder, name));
  writeFileSync(join(folder, `server.key.tmp-${2 ** 22 + 1}-00000000`), 'half');
  expect((await make()).made).toEqual(['ca.crt', 'client.crt']);
  for (const name of ['ca.key', 'server.key', 'server.crt', 'client.key']) expect(read(name)).toBe(before[name]);
  expect(readdirSync(folder).sort()).toEqual(ALL.toSorted());
  expect(cert('server.crt').verify(cert('ca.crt').publicKey)).toBe(true);
});

test('an old certificate is renewed for the same key, no longer than the authority lasts', async () => {
  await make();
  const before = contents();
  const later = await make({ now: new Date('2035-12-20T00:00:00Z') });
  expect(later.made).toEqual(['server.crt', 'client.crt']);
  expect(read('server.key')).toBe(before['server.key']);
  expect(cert('server.crt').validTo).toBe(cert('ca.crt').validTo);
  await expect(make({ now: new Date('2036-12-20T00:00:00Z') })).rejects.toThrow(/ca\.crt has expired/);
});

test('nothing is overwritten without --force, and the authority never is', async () => {
  await make();
  const before = contents();
  await expect(make({ names: ['other.example.org'] })).rejects.toThrow(/server\.crt does not name other\.example\.org/);
  expect(contents()).toEqual(before);
  const forced = await make({ names: ['other.example.org'], force: true });
  expect(forced).toEqual({ folder, made: ALL.slice(2), kept: ['ca.crt', 'ca.key'] });
  expect(contents()).toMatchObject({ 'ca.key': before['ca.key'], 'ca.crt': before['ca.crt'] });
  expect(read('server.key')).not.toBe(before['server.key']);

  writeFileSync(join(folder, 'client.key'), read('server.key'));
  await expect(make({ names: [] })).rejects.toThrow(/client\.crt is not of the key beside it/);
  rmSync(join(folder, 'ca.key'));
  await expect(make({ names: [], force: true })).rejects.toThrow(/ca\.crt is there without its ca\.key/);
});

test('what `up` is given has to belong together', async () => {
  await make();
  writeFileSync(join(folder, 'server.key'), read('client.key'));
  expect(() => readTlsFiles(folder)).toThrow(/server\.crt is not of the server\.key beside it/);
  writeFileSync(join(folder, 'server.key'), 'not a key');
  expect(() => readTlsFiles(folder)).toThrow(/server\.key: /);
  rmSync(join(folder, 'ca.crt'));
  expect(() => readTlsFiles(folder)).toThrow(/ca\.crt: ENOENT/);
});
