import { cpSync, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunResult, tryRun } from '../images/process.ts';
import {
  BAKED,
  bedplate,
  bedplateJson,
  bootRunner,
  buildArgs,
  buildContext,
  buildctl,
  eventually,
  removeFolder,
  type TestRunner,
  temporaryFolder,
} from './harness.ts';

const OLDEST = '0.13.2';
const OTHER = '0.29.0';
/** A name outside of the suffix, that the server's certificate has. */
const HOST = 'builder.example.org';
const OTHER_NAME = '0-29-0.buildkit.bedplate';

const work = temporaryFolder('tls');
const certs = join(work, 'certs');
const foreign = join(work, 'foreign');
let port: number;
let runner: TestRunner;

beforeAll(async () => {
  for (const folder of [certs, foreign]) await bedplateJson(['certs', '--out', folder, '--host', HOST]);
  port = await freePort();
  runner = await bootRunner('tls', ['--tls-listen', `127.0.0.1:${port}`, '--tls-certs', certs]);
});
afterAll(async () => {
  await runner.down();
  removeFolder(work);
});

interface Client {
  readonly cli?: string;
  /** The TLS server name. */
  readonly name?: string;
  /** Whose server it trusts, and whose client it is. */
  readonly ca?: string;
  readonly of?: string | undefined;
}

/** Runs a buildctl over the network port. */
async function over(
  { cli = BAKED, name = HOST, ca = certs, of = certs }: Client,
  ...args: string[]
): Promise<RunResult> {
  const flags = ['--addr', `tcp://127.0.0.1:${port}`, '--tlscacert', join(ca, 'ca.crt'), '--tlsservername', name];
  const own = of === '' ? [] : ['--tlscert', join(of, 'client.crt'), '--tlskey', join(of, 'client.key')];
  return tryRun(await buildctl(cli), [...flags, ...own, ...args], { timeoutMs: 60_000 });
}

const info = (client: Client) => over(client, 'debug', 'info');
const log = () => readFileSync(runner.state.log, 'utf8');

// First of all, while no engine has ever been started.
test.each([
  ['no client certificate', { of: '' }, "client didn't provide a certificate"],
  // buildctl sees that its certificate is of none of the authorities that the runner asks for, and does not send it.
  ['a client of a foreign authority', { of: foreign }, "client didn't provide a certificate"],
  ['the server certificate as a client', { of: join(work, 'swapped') }, 'incompatible key usage'],
  ['a version that is not known', { name: '9-9-9.buildkit.bedplate' }, '9-9-9.buildkit.bedplate'],
])('%s is refused, and starts nothing', async (_, client, reason) => {
  for (const end of ['crt', 'key']) cpSync(join(certs, `server.${end}`), join(work, 'swapped', `client.${end}`));
  const before = log().length;
  const { exitCode, stdout, stderr } = await info(client);
  expect([exitCode, stdout]).toEqual([1, '']);
  expect(stderr).toContain('tls: ');
  const line = await eventually('a line in the log', () =>
    log()
      .slice(before)
      .split('\n')
      .find((l) => l.includes('TLS client refused')),
  );
  expect(JSON.parse(line).reason).toContain(reason);
  expect(JSON.parse(line).remote).toMatch(/^127\.0\.0\.1:\d+$/);
  expect((await runner.engines()).engines.filter(({ startedAt }) => startedAt !== '')).toEqual([]);
});

test.each([BAKED, OLDEST])('buildctl %s: the server name chooses the engine, and starts it', async (cli) => {
  for (const [name, version] of [
    [OTHER_NAME, OTHER],
    [HOST, BAKED],
    ['buildkit.bedplate', BAKED],
  ] as const) {
    const { exitCode, stdout, stderr } = await info({ cli, name });
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`v${version}`);
    expect((await runner.engine(version)).state).toBe('running');
    expect((await over({ cli, name }, 'debug', 'workers')).exitCode).toBe(0);
  }
  expect((await runner.engine(OLDEST)).state).toBe('stopped');
});

test('a build over the network, its context and its result included', async () => {
  const dockerfile = 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "touch", "/made"]\n';
  const context = await buildContext('tls-context', dockerfile);
  const output = join(work, 'output');
  const [, , ...args] = buildArgs('', context, output);
  const { exitCode, stderr } = await over({ name: OTHER_NAME }, ...args);
  removeFolder(context);
  expect([exitCode, exitCode === 0 ? '' : stderr]).toEqual([0, '']);
  expect(existsSync(join(output, 'made'))).toBe(true);
});

test('the authority’s key is not in the runner’s state', () => {
  expect(
    ['ca.crt', 'server.crt', 'server.key', 'ca.key'].map((n) => existsSync(join(runner.state.etc, 'tls', n))),
  ).toEqual([true, true, true, false]);
});

test('new certificates are served without a restart, and the old authority’s clients are out', async () => {
  const pid = runner.pid();
  for (const name of ['ca.crt', 'server.crt', 'server.key'])
    cpSync(join(foreign, name), join(runner.state.etc, 'tls', name));
  expect(await info({ ca: foreign, of: foreign })).toMatchObject({ exitCode: 0, stderr: '' });
  expect((await info({ of: foreign })).stderr).toContain('certificate signed by unknown authority'); // the server's, now
  expect((await info({ ca: foreign })).stderr).toContain('tls: ');
  expect(log()).toContain('TLS certificates reloaded');
  expect(runner.pid()).toBe(pid);
});

test('wrong flags: which, and the way out; nothing is booted', async () => {
  const up = (...flags: string[]) => bedplate(['up', '--state', join(work, 'never'), ...flags]);
  const address = await up('--tls-listen', 'localhost:8443', '--tls-certs', certs);
  expect([address.exitCode, address.stderr]).toEqual([2, expect.stringContaining('[::1]:8443')]);
  const alone = await up('--tls-listen', ':8443');
  expect([alone.exitCode, alone.stderr]).toEqual([2, expect.stringContaining('--tls-certs is missing')]);
  const missing = await up('--tls-listen', ':8443', '--tls-certs', join(work, 'nowhere'));
  expect([missing.exitCode, missing.stderr]).toEqual([1, expect.stringContaining('nowhere/ca.crt')]);
  expect(existsSync(join(work, 'never'))).toBe(false);
  const busy = await up('--tls-listen', `127.0.0.1:${port}`, '--tls-certs', certs);
  expect([busy.exitCode, busy.stderr]).toEqual([1, expect.stringContaining('address already in use')]);
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
