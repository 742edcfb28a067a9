import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildkit } from '../images/engines/buildkit/buildkit.ts';
import { tryRun } from '../images/process.ts';
import {
  BAKED,
  bedplate,
  bootRunner,
  buildctl,
  buildOn,
  removeFolder,
  running,
  type TestRunner,
  temporaryFolder,
} from './harness.ts';

const LIMITED = '0.29.0';
const MEMORY = 256 * 1024 * 1024;
const work = temporaryFolder('limits');
let runner: TestRunner;
beforeAll(async () => {
  const settings = join(work, 'bedplated.json');
  const limits = { cpus: 0.5, memoryBytes: MEMORY, pids: 80 };
  writeFileSync(
    settings,
    JSON.stringify({
      engines: { buildkit: { addCapabilities: ['CAP_SYS_PTRACE'] }, [`buildkit/${LIMITED}`]: limits },
      dns: { nameservers: ['10.9.9.9', 'fd00::9'], search: ['example.org'] },
      extraHosts: { 'registry.example.org': '127.0.0.9' },
      disk: { budgetBytes: 4e9, freeBytes: 1e6 },
    }),
  );
  runner = await bootRunner('limits', ['--settings', settings]);
  for (const version of [BAKED, LIMITED, '0.13.2']) {
    const args = ['--addr', `unix://${runner.socket(version)}`, 'debug', 'workers'];
    expect(await tryRun(await buildctl(BAKED), args)).toMatchObject({ exitCode: 0 });
  }
});
afterAll(async () => {
  await runner.down();
  removeFolder(work);
});

/** The host's path of a file that an engine sees. */
async function inEngine(version: string, path: string): Promise<string> {
  return join(`/proc/${runner.pid()}/root/proc/${(await runner.engine(version)).pid}`, path);
}

/** The cgroup of an engine with its work, in a v1 hierarchy or v2's one. */
function cgroup(controller: string, version: string): string {
  const below = join(runner.state.cgroupsPath, 'bedplate-engines', `buildkit-${version}`);
  return join('/sys/fs/cgroup', V2 ? '' : controller, below);
}
const V2 = existsSync('/sys/fs/cgroup/cgroup.controllers');

test('limits are those of the cgroup that holds an engine and its work, of that version alone', () => {
  const read = (controller: string, v1: string, v2: string, version = LIMITED) =>
    readFileSync(join(cgroup(controller, version), V2 ? v2 : v1), 'utf8').trim();
  expect(read('memory', 'memory.limit_in_bytes', 'memory.max')).toBe(String(MEMORY));
  expect(read('pids', 'pids.max', 'pids.max')).toBe('80');
  expect(read('cpu', 'cpu.cfs_quota_us', 'cpu.max').split(' ')[0]).toBe('50000');
  expect(read('memory', 'memory.limit_in_bytes', 'memory.max', BAKED)).not.toBe(String(MEMORY));
});

test('a RUN step that takes more memory, or more processes, fails; its engine and the neighbours go on', async () => {
  const { pid } = await runner.engine(LIMITED);
  const memory = running('/bin/busybox dd if=/dev/zero of=/dev/null bs=600M count=1 && echo never');
  expect((await buildOn(runner, LIMITED, memory)).exitCode).not.toBe(0);
  expect((await buildOn(runner, BAKED, memory)).exitCode).toBe(0);
  const processes = running('for i in $(/bin/busybox seq 200); do /bin/busybox sleep 3 & done; wait');
  expect((await buildOn(runner, LIMITED, processes)).stderr).toMatch(/can't fork|Resource temporarily unavailable/);
  expect((await buildOn(runner, LIMITED, running('echo $((6*7))'))).stderr).toContain('42');
  expect((await runner.engine(LIMITED)).pid).toBe(pid);
});

test('an engine has the capabilities that its kind lists and the owner adds, and no device but those of every container', async () => {
  const status = readFileSync(await inEngine(BAKED, 'status'), 'utf8');
  const bits = BigInt(`0x${/CapBnd:\t([0-9a-f]+)/.exec(status)?.[1]}`);
  const numbers = [...Array(64).keys()].filter((bit) => (bits >> BigInt(bit)) & 1n);
  expect(numbers).toHaveLength(buildkit.startContract(BAKED).capabilities.length + 1);
  expect(numbers).toContain(19); // CAP_SYS_PTRACE, capability.h
  expect(numbers).not.toContain(16); // CAP_SYS_MODULE
  const { stdout } = await tryRun('ls', [await inEngine(BAKED, 'root/dev')]);
  expect(stdout.split('\n')).not.toContain('mem');
  const root = readFileSync(await inEngine(BAKED, 'mountinfo'), 'utf8').split('\n')[0];
  expect(root).toMatch(/ \/ ro/);
});

test('the owner’s name servers reach builds, and extra hosts the engine', async () => {
  const hosts = readFileSync(await inEngine(BAKED, 'root/etc/hosts'), 'utf8');
  expect(hosts).toContain('127.0.0.9 registry.example.org');
  for (const version of [BAKED, '0.13.2']) {
    const { stderr } = await buildOn(runner, version, running('/bin/busybox cat /etc/resolv.conf'));
    expect(stderr).toMatch(/nameserver 10\.9\.9\.9/);
    expect(stderr).toContain('search example.org');
  }
});

test('each engine’s own collector gets its part of the budget', async () => {
  const policy = async (version: string) =>
    (
      await tryRun(await buildctl(BAKED), [
        '--addr',
        `unix://${runner.socket(version)}`,
        'debug',
        'workers',
        '--verbose',
      ])
    ).stdout;
  for (const version of [BAKED, LIMITED]) {
    expect(await policy(version)).toMatch(/Maximum used space:\s+(4|2|1\.333)GB/);
    expect(await policy(version)).toMatch(/Minimum free space:\s+1MB/);
  }
  const toml = readFileSync(await inEngine('0.13.2', 'root/run/engines/buildkit/0.13.2/buildkitd.toml'), 'utf8');
  expect(toml).toMatch(/gckeepstorage = '(4000000000|2000000000|1333333333)'/);
});

test('an engine takes on the line of an older minor when it is asked to', async () => {
  const settings = join(work, 'moved.json');
  writeFileSync(
    settings,
    JSON.stringify({ engines: { [`buildkit/${BAKED}`]: { stateLine: '0.29' } }, idleTimeoutMs: 1 }),
  );
  const other = await bootRunner('moved', ['--settings', settings]);
  try {
    const dockerfile = running('echo once');
    expect((await buildOn(other, LIMITED, dockerfile)).stderr).not.toContain('CACHED');
    const taken = await buildOn(other, BAKED, dockerfile);
    expect([taken.exitCode, taken.stderr]).toEqual([0, expect.stringContaining('CACHED')]);
    expect((await other.engine(BAKED)).stateLine).toBe('0.29');
  } finally {
    await other.down();
  }
});

test('a wrong settings file is named with its field, and nothing is up', async () => {
  const file = join(work, 'wrong.json');
  const state = join(work, 'never');
  const up = () => bedplate(['up', '--state', state, '--settings', file]);
  writeFileSync(file, '{"engines": {"buildkit": {"cpu": 2}}}');
  const field = await up();
  expect([field.exitCode, field.stderr]).toEqual([1, expect.stringContaining('field \\"cpu\\" is not known')]);
  writeFileSync(file, '[]');
  expect((await up()).exitCode).toBe(2);
  expect((await bedplate(['down', '--state', state])).stdout).toContain('No runner is up');
});
