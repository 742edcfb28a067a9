import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { smokeBuild } from '../compat-matrix/smoke/smoke.ts';
import { tryRun } from '../images/process.ts';
import { controlClient } from '../images/runner/control.ts';
import { smokeShell } from '../scripts/commands/release.ts';
import {
  BAKED,
  bedplate,
  bedplateJson,
  bootRunner,
  buildArgs,
  buildContext,
  buildctl,
  CACHE,
  eventually,
  LOCK,
  leftovers,
  namespaceOf,
  networkNamespaces,
  removeFolder,
  runnerIn,
  SLEEPING,
  type TestRunner,
} from './harness.ts';

let runner: TestRunner;
let context: string;
beforeAll(async () => {
  runner = await bootRunner('faults', ['--idle', '2']);
  context = await buildContext('faults', SLEEPING);
});
afterAll(async () => {
  await runner.down();
  removeFolder(context);
});

const tasks = async (version: string) => (await runner.ctr(namespaceOf(version), 'tasks', 'ls')).slice(1);

async function smoke(version: string) {
  const target = { engine: version, cli: version, buildctl: await buildctl(version), socket: runner.socket(version) };
  return smokeBuild(target, await smokeShell(LOCK, CACHE), `faults-${Date.now()}`);
}

/** Starts the sleeping build; returns once its RUN is running. */
async function sleepingBuild(version: string) {
  const args = buildArgs(runner.socket(version), context, join(context, 'out'), [
    `--opt=build-arg:NONCE=${Date.now()}`,
  ]);
  const build = tryRun(await buildctl(version), args);
  await eventually('the RUN is running', async () =>
    (await tasks(version)).some((row) => row.includes('RUNNING')) ? true : undefined,
  );
  return { build };
}

test.each([BAKED, '0.13.2'])(
  'engine %s killed in the middle of a build: a clear error, its RUN ends, the next connection gets a fresh engine',
  async (version) => {
    await smoke('0.29.0');
    const { build } = await sleepingBuild(version);
    const before = await runner.engine(version);
    await runner.inside(
      '/opt/bedplate/runner/bin/ctr',
      '-n',
      'bedplate',
      'tasks',
      'kill',
      '--signal',
      'SIGKILL',
      `buildkit-${version}`,
    );
    const { exitCode, stderr } = await build;
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/Unavailable|EOF|connection (reset|closed|refused)|transport/i);
    await eventually(
      'no task of it is left',
      async () => ((await tasks(version)).length === 0 ? true : undefined),
      5_000,
    );
    expect(await smoke(version)).toMatchObject({ status: 'pass', reason: '' });
    const after = await runner.engine(version);
    expect(after.startedAt).not.toBe(before.startedAt);
  },
);

/** A build whose only RUN says what it was given: the same again comes from the cache. */
async function cachedBuild(version: string, nonce: string) {
  const out = join(context, `out-${nonce}`);
  const quick = await buildContext(
    'quick',
    'FROM scratch\nCOPY busybox /bin/busybox\nARG NONCE\nRUN ["/bin/busybox", "touch", "/done"]\n',
  );
  try {
    const args = buildArgs(runner.socket(version), quick, out, [`--opt=build-arg:NONCE=${nonce}`]);
    return await tryRun(await buildctl(version), args);
  } finally {
    removeFolder(quick);
  }
}

/** Kills processes of the runner by what their command lines match, from the host. */
async function killInside(pattern: string): Promise<void> {
  const found = await tryRun('pgrep', ['--full', pattern]);
  const pids = found.stdout.trim().split('\n').map(Number);
  const mine = pids.filter((pid) => readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(runner.state.cgroupsPath));
  expect(mine).toHaveLength(1);
  for (const pid of mine) process.kill(pid, 'SIGKILL');
}

test('the shim of an engine killed: its RUN ends, the neighbour builds on, the next connection gets a fresh engine', async () => {
  const version = '0.29.0';
  const { build: neighbour } = await sleepingBuild('0.13.2');
  const { build } = await sleepingBuild(version);
  const before = await runner.engine('0.13.2');
  await killInside(`containerd-shim-runc-v2 -namespace bedplate -id buildkit-${version} `);
  expect((await build).exitCode).not.toBe(0);
  await eventually(
    'no task of it is left',
    async () => ((await tasks(version)).length === 0 ? true : undefined),
    5_000,
  );
  expect(await smoke(version)).toMatchObject({ status: 'pass', reason: '' });
  expect((await tasks('0.13.2')).length).toBe(1);
  expect((await runner.engine('0.13.2')).pid).toBe(before.pid);
  await tryRun('pkill', ['-f', context]);
  await neighbour;
});

test('the shim of a RUN step killed: its build ends soon, nothing of it is left, the engine builds on', async () => {
  const version = '0.29.0';
  const { build } = await sleepingBuild(version);
  const { pid } = await runner.engine(version);
  const killed = performance.now();
  await killInside(`containerd-shim-runc-v2 -namespace ${namespaceOf(version)} -id `);
  const { exitCode, stderr } = await build;
  expect(performance.now() - killed).toBeLessThan(10_000);
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('did not complete successfully')]);
  await eventually(
    'no task of it is left',
    async () => ((await tasks(version)).length === 0 ? true : undefined),
    5_000,
  );
  expect(await smoke(version)).toMatchObject({ status: 'pass', reason: '' });
  expect((await runner.engine(version)).pid).toBe(pid);
});

test.each([BAKED, '0.13.2'])(
  'containerd killed: builds of engine %s in flight end soon and by name, it keeps its process, the next build hits the cache',
  async (version) => {
    const nonce = `cache-${Date.now()}`;
    expect((await cachedBuild(version, nonce)).exitCode).toBe(0);
    const { build } = await sleepingBuild(version);
    const before = {
      engine: (await runner.engine(version)).pid,
      containerd: (await runner.engines()).runner.containerd.pid,
    };
    await killInside('/opt/bedplate/runner/bin/containerd --config');
    const killed = performance.now();
    await eventually('containerd is back', async () => {
      const found = await bedplate(['status', ...runner.flag, '--json']);
      return found.exitCode === 0 ? true : undefined;
    });
    const { exitCode, stderr } = await build;
    expect(performance.now() - killed).toBeLessThan(10_000);
    // By how far the step had come: its end was waited for, or a call to containerd was under way.
    const named = /did not complete successfully: (failure waiting for process|error reading from server)/;
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(named)]);
    const after = {
      engine: (await runner.engine(version)).pid,
      containerd: (await runner.engines()).runner.containerd.pid,
    };
    expect(after.engine).toBe(before.engine);
    expect(after.containerd).not.toBe(before.containerd);
    const again = await cachedBuild(version, nonce);
    expect([again.exitCode, again.stderr]).toEqual([0, expect.stringContaining('CACHED')]);
    expect(await smoke(version)).toMatchObject({ status: 'pass', reason: '' });
    await eventually('no task of it is left', async () => ((await tasks(version)).length === 0 ? true : undefined));
  },
);

test('an engine that nobody uses is stopped after the idle time, and starts again', async () => {
  await smoke(BAKED);
  await eventually(
    'it is stopped',
    async () => ((await runner.engine(BAKED)).state === 'stopped' ? true : undefined),
    15_000,
  );
  expect(await runner.ctr('bedplate', 'containers', 'ls', '-q')).not.toContain(`buildkit-${BAKED}`);
  expect(await smoke(BAKED)).toMatchObject({ status: 'pass', reason: '' });
});

test('an engine is stopped by the control API', async () => {
  await smoke(BAKED);
  expect(await controlClient(runner.state).stop('buildkit', BAKED)).toMatchObject({ state: 'stopped', pid: 0 });
  await expect(controlClient(runner.state).stop('buildkit', '9.9.9')).rejects.toThrow('9.9.9');
});

test('down lets a build finish, and takes nobody new; --now does not wait', async () => {
  const quick = await buildContext('drain', SLEEPING.replace('"300"', '"4"'));
  const args = buildArgs(runner.socket(BAKED), quick, join(quick, 'out'), [`--opt=build-arg:NONCE=${Date.now()}`]);
  const build = tryRun(await buildctl(BAKED), args);
  await eventually('the RUN is running', async () =>
    (await tasks(BAKED)).some((row) => row.includes('RUNNING')) ? true : undefined,
  );
  const stopping = bedplate(['down', ...runner.flag]);
  await eventually('its sockets have gone', () => (existsSync(runner.socket(BAKED)) ? undefined : true));
  const status = await bedplate(['status', ...runner.flag]);
  expect([status.exitCode, status.stdout]).toEqual([1, expect.stringContaining('finishes what is connected')]);
  const stopped = await stopping;
  expect([stopped.exitCode, stopped.stderr]).toEqual([0, expect.stringContaining('1 connections may finish')]);
  expect((await build).exitCode).toBe(0);
  removeFolder(quick);

  await bedplateJson(['up', ...runner.flag, '--idle', '2']);
  const { build: cut } = await sleepingBuild(BAKED);
  const begin = performance.now();
  await bedplateJson(['down', '--now', ...runner.flag]);
  expect(performance.now() - begin).toBeLessThan(20_000);
  expect((await cut).exitCode).not.toBe(0);
  expect(await leftovers(runner.state)).toEqual([]);
  await bedplateJson(['up', ...runner.flag, '--idle', '2']);
});

test('bedplated killed under builds: the container ends; started again nothing of the earlier life is left, the cache is there', async () => {
  const nonce = `cache-${Date.now()}`;
  expect((await cachedBuild(BAKED, nonce)).exitCode).toBe(0);
  const builds = [await sleepingBuild(BAKED), await sleepingBuild('0.13.2')];
  process.kill(runner.pid(), 'SIGKILL');
  for (const { build } of builds) expect((await build).exitCode).toBe(1);
  const processes = async () => (await leftovers(runner.state)).filter((what) => what.startsWith('process'));
  await eventually('every process of it has ended', async () => ((await processes()).length === 0 ? true : undefined));
  await bedplateJson(['up', ...runner.flag, '--idle', '2']);
  runner = runnerIn(runner.state.folder);
  expect(await runner.ctr('bedplate', 'containers', 'ls', '-q')).toEqual([]);
  for (const version of [BAKED, '0.13.2']) expect(await tasks(version)).toEqual([]);
  const again = await cachedBuild(BAKED, nonce);
  expect([again.exitCode, again.stderr]).toEqual([0, expect.stringContaining('CACHED')]);
  expect(await smoke(BAKED)).toMatchObject({ status: 'pass', reason: '' });
});

test('after down no mount, process, cgroup, network namespace or socket is left', async () => {
  const before = networkNamespaces();
  for (const version of [BAKED, '0.29.0', '0.13.2']) expect(await smoke(version)).toMatchObject({ status: 'pass' });
  expect(await leftovers(runner.state)).not.toEqual([]);
  const own = [...networkNamespaces(runner.state)].filter((inode) => !before.has(inode));
  await bedplateJson(['down', ...runner.flag]);
  expect(await leftovers(runner.state)).toEqual([]);
  expect([...networkNamespaces()].filter((inode) => own.includes(inode))).toEqual([]);
  expect(existsSync(runner.state.data)).toBe(true);
});
