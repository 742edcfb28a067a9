import { once } from 'node:events';
import { existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run, type Started, start, tryRun } from '../images/process.ts';
import { bridgesOf } from '../images/runner/bridges.ts';
import { controlClient } from '../images/runner/control.ts';
import { addEngine } from './fixtures/engine.ts';
import {
  BAKED,
  bedplateJson,
  bootRunner,
  buildctl,
  buildOn,
  eventually,
  removeFolder,
  running,
  type TestRunner,
  temporaryFolder,
} from './harness.ts';

const HOST = '0.29.0';
const OLDEST = '0.13.2';
const FAR = { namespace: `bedplate-test-${process.pid}`, link: `bpt${process.pid}`, port: 8080 };
/** Nothing in the far namespace leads back to a bridge: what it answers to has the host's address. */
const FAMILIES = [
  { family: 'IPv4', here: '198.18.77.1', there: '198.18.77.2', bits: 30 },
  ...(existsSync('/proc/sys/net/ipv6') ? [{ family: 'IPv6', here: 'fd77::1', there: 'fd77::2', bits: 126 }] : []),
] as const;
const TELLS_WHO = `require('node:net').createServer((s) => s.end('you are ' + s.remoteAddress)).listen(${FAR.port}, '::')`;

const work = temporaryFolder('network');
const settings = join(work, 'bedplated.json');
let runner: TestRunner;
let far: Started | undefined;
let before: Map<string, string>;

beforeAll(async () => {
  const engines = { buildkit: { network: 'bridge' }, [`buildkit/${HOST}`]: { network: 'host' } };
  writeFileSync(settings, JSON.stringify({ engines }));
  before = forwarding();
  runner = await bootRunner('network', ['--settings', settings]);
  await makeFar();
});
afterAll(async () => {
  far?.kill('SIGTERM');
  await far?.ended;
  await tryRun('ip', ['netns', 'delete', FAR.namespace]);
  await tryRun('ip', ['link', 'delete', FAR.link]);
  await runner.down();
  for (const [path, value] of before) if (existsSync(path)) writeFileSync(path, value);
  removeFolder(work);
});

/** What a bridge turns on in the host's kernel, and leaves on; accept_ra last, since what comes before it can change it. */
function forwarding(): Map<string, string> {
  const ipv6 = '/proc/sys/net/ipv6/conf';
  const links = existsSync(ipv6) ? readdirSync(ipv6) : [];
  const paths = ['forwarding', 'accept_ra'].flatMap((name) => links.map((link) => join(ipv6, link, name)));
  return new Map(['/proc/sys/net/ipv4/ip_forward', ...paths].map((path) => [path, readFileSync(path, 'utf8')]));
}

/** A network namespace beside the host, with a server that says whom it sees. */
async function makeFar(): Promise<void> {
  const ip = (...args: string[]) => run('ip', args);
  await ip('netns', 'add', FAR.namespace);
  await ip('link', 'add', FAR.link, 'type', 'veth', 'peer', 'name', 'far', 'netns', FAR.namespace);
  await ip('link', 'set', FAR.link, 'up');
  for (const link of ['lo', 'far']) await ip('-n', FAR.namespace, 'link', 'set', link, 'up');
  for (const { family, here, there, bits } of FAMILIES) {
    const flags = family === 'IPv6' ? ['nodad'] : [];
    await ip('address', 'add', `${here}/${bits}`, 'dev', FAR.link, ...flags);
    await ip('-n', FAR.namespace, 'address', 'add', `${there}/${bits}`, 'dev', 'far', ...flags);
  }
  const log = openSync(join(work, 'far.log'), 'a');
  far = start('ip', ['netns', 'exec', FAR.namespace, process.execPath, '-e', TELLS_WHO], log);
  await eventually('the far server answers', () => opens(FAMILIES[0].there, FAR.port));
}

const bridges = () => bridgesOf(runner.state);

/** What a RUN step prints. */
async function printedBy(version: string, script: string): Promise<string> {
  const { exitCode, stderr } = await buildOn(runner, version, running(`: ${Math.random()}; ${script}`));
  expect([exitCode, exitCode === 0 ? '' : stderr]).toEqual([0, '']);
  return stderr;
}

/** The addresses of a RUN step, but for those of a link. */
async function addressesIn(version: string): Promise<string[]> {
  const printed = await printedBy(version, '/bin/busybox ip address');
  return [...printed.matchAll(/inet6? ([^/]+)\/.* scope global/g)].map((found) => found[1] ?? '');
}

/** The bridge that one engine has, with its addresses. */
async function bridgeOf(version: string): Promise<{ name: string; addresses: string[] }> {
  const inRunner = `/proc/${runner.pid()}/root/run/engines/buildkit/${version}/network.conflist`;
  await tryRun(await buildctl(BAKED), ['--addr', `unix://${runner.socket(version)}`, 'debug', 'workers']);
  const { name } = JSON.parse(readFileSync(inRunner, 'utf8')) as { name: string };
  const all = networkInterfaces()[name] ?? [];
  return { name, addresses: all.filter(({ scopeid }) => !scopeid).map(({ address }) => address) };
}

/** The subnet of an engine's address: what is before its last part. */
const subnetOf = (address: string) => address.replace(/[^.:]*$/, '');

test.each([BAKED, OLDEST])(
  'a RUN step of %s is on its engine’s bridge, and sees nothing of the host’s',
  async (version) => {
    const { addresses } = await bridgeOf(version);
    expect(addresses).toHaveLength(FAMILIES.length);
    const own = (await addressesIn(version)).map(subnetOf);
    expect(own.sort()).toEqual(addresses.map(subnetOf).sort());
    const printed = await printedBy(version, '/bin/busybox ip -o link');
    const links = [...printed.matchAll(/\d+: (\w+)(?:@\w+)?: </g)].map((found) => found[1]);
    expect([...new Set(links)].sort()).toEqual([expect.stringMatching(/^eth\d$/), 'lo']);
  },
);

test('engines have bridges and subnets of their own', async () => {
  const [one, two] = [await bridgeOf(BAKED), await bridgeOf(OLDEST)];
  expect(one.name).not.toBe(two.name);
  expect(bridges().sort()).toEqual([one.name, two.name].sort());
  expect(new Set([...one.addresses, ...two.addresses].map(subnetOf)).size).toBe(2 * FAMILIES.length);
});

test('a RUN step of an engine without a bridge has the host’s network', async () => {
  const others = bridges();
  const printed = await printedBy(HOST, '/bin/busybox ip -o link');
  expect(printed).toContain(`${FAR.link}@`);
  expect(bridges()).toEqual(others);
});

test('what the host serves on the bridge’s address is reached', async () => {
  for (const address of (await bridgeOf(BAKED)).addresses) {
    const server = createServer((socket) => socket.end('the host was reached'));
    server.listen(0, address);
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      expect(await printedBy(BAKED, `/bin/busybox nc -w 5 ${address} ${port}`)).toContain('the host was reached');
    } finally {
      server.close();
    }
  }
});

test.each(FAMILIES)(
  'what is beyond the host is reached by $family, with the host’s address',
  async ({ here, there }) => {
    for (const version of [BAKED, OLDEST]) {
      const printed = await printedBy(version, `/bin/busybox nc -w 5 ${there} ${FAR.port}`);
      expect(printed).toMatch(new RegExp(`you are (::ffff:)?${here}`));
    }
  },
);

test('what is beyond the host does not reach a RUN step, as the host does', async () => {
  const subnet = subnetOf((await bridgeOf(BAKED)).addresses.find((address) => address.includes('.')) ?? '');
  await run('ip', ['-n', FAR.namespace, 'route', 'add', `${subnet}0/24`, 'via', FAMILIES[0].here]);
  const step = printedBy(BAKED, '/bin/busybox timeout 8 /bin/busybox nc -ll -p 9999 -e /bin/busybox true; true');
  const candidates = [...Array(20).keys()].map((n) => `${subnet}${n + 2}`);
  const address = await eventually('the step listens', async () => {
    const found = await Promise.all(candidates.map(async (one) => ((await opens(one, 9999)) ? one : undefined)));
    return found.find((one) => one !== undefined);
  });
  const program = `require('node:net').connect({ host: '${address}', port: 9999, timeout: 1500 })
    .on('connect', () => process.exit(0)).on('timeout', () => process.exit(7))`;
  const outside = await tryRun('ip', ['netns', 'exec', FAR.namespace, process.execPath, '-e', program]);
  expect(outside.exitCode).toBe(7);
  expect(await opens(address, 9999)).toBe(true);
  await step;
});

/** Whether a connection opens, within a second. */
function opens(host: string, port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 });
    const end = (value?: true) => {
      socket.destroy();
      resolve(value);
    };
    socket
      .on('connect', () => end(true))
      .on('timeout', () => end())
      .on('error', () => end());
  });
}

test('a stopped engine leaves no bridge and no port; its next start has them again', async () => {
  const { name } = await bridgeOf(OLDEST);
  await addressesIn(OLDEST);
  const ports = readdirSync(`/sys/class/net/${name}/brif`);
  expect(ports.length).toBeGreaterThan(0);
  await controlClient(runner.state).stop('buildkit', OLDEST);
  const there = readdirSync('/sys/class/net');
  expect([name, ...ports].filter((link) => there.includes(link))).toEqual([]);
  expect(await addressesIn(OLDEST)).toHaveLength(FAMILIES.length);
});

test('an engine that cannot have the network says so to its clients', async () => {
  await addEngine(runner, '0.99.0', 'exec "$@"', { networks: { host: {} } });
  const { stderr } = await tryRun(await buildctl(BAKED), [
    '--addr',
    `unix://${runner.socket('0.99.0')}`,
    'debug',
    'workers',
  ]);
  expect(stderr).toContain('buildkit-0.99.0 cannot have the network "bridge" (it can have: host)');
});

test('a killed runner’s bridges are gone when it is up again, or told to be down', async () => {
  const first = await bridgeOf(BAKED);
  await bridgeOf(OLDEST);
  process.kill(runner.pid(), 'SIGKILL');
  await eventually('the runner has died', () => !existsSync(`/proc/${runner.pid()}`));
  expect(bridges()).toHaveLength(2);
  await bedplateJson(['up', ...runner.flag, '--settings', settings]);
  expect(bridges()).toEqual([]);
  expect((await bridgeOf(BAKED)).name).toBe(first.name);
  process.kill(runner.pid(), 'SIGKILL');
  await eventually('the runner has died', () => !existsSync(`/proc/${runner.pid()}`));
  expect(bridges()).toHaveLength(1);
  await bedplateJson(['down', ...runner.flag]);
  expect(bridges()).toEqual([]);
});
