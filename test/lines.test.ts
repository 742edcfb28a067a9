import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tryRun } from '../images/process.ts';
import { controlClient } from '../images/runner/control.ts';
import { diskUsage } from '../images/runner/disk.ts';
import { alternate, PATCHES } from './alternate.ts';
import { addEngine } from './fixtures/engine.ts';
import {
  BAKED,
  bedplate,
  bedplateJson,
  bootRunner,
  buildArgs,
  buildContext,
  buildctl,
  eventually,
  namespaceOf,
  removeFolder,
  SLEEPING,
  type TestRunner,
} from './harness.ts';

const RUN_ONCE = 'FROM scratch\nCOPY busybox /bin/busybox\nARG NONCE\nRUN ["/bin/busybox", "touch", "/done"]\n';

let runner: TestRunner;
let context: string;
beforeAll(async () => {
  runner = await bootRunner('lines', ['--line-wait', '60']);
  context = await buildContext('lines', RUN_ONCE);
  for (const version of PATCHES) await addEngine(runner, version, 'exec "$@"');
});
afterAll(async () => {
  await runner.down();
  removeFolder(context);
});

async function build(target: TestRunner, version: string, nonce: string, folder = context) {
  const args = buildArgs(target.socket(version), folder, join(folder, `out-${version}`), [
    `--opt=build-arg:NONCE=${nonce}`,
  ]);
  return tryRun(await buildctl(BAKED), args);
}

/** A build that sleeps in its RUN, once it does. */
async function sleeping(target: TestRunner, version: string) {
  const folder = await buildContext('sleeping', SLEEPING);
  const running = build(target, version, String(Date.now()), folder);
  await eventually('the RUN is running', async () =>
    (await target.ctr(namespaceOf(version), 'tasks', 'ls')).some((row) => row.includes('RUNNING')) ? true : undefined,
  );
  return {
    stop: async () => {
      await tryRun('pkill', ['-f', folder]);
      await running;
      removeFolder(folder);
    },
  };
}

test('a patch of the same minor finds the cache of the one before it', async () => {
  const nonce = `cache-${Date.now()}`;
  const first = await build(runner, PATCHES[0], nonce);
  expect([first.exitCode, first.stderr.includes('CACHED')]).toEqual([0, false]);
  const second = await build(runner, PATCHES[1], nonce);
  expect([second.exitCode, second.stderr]).toEqual([0, expect.stringContaining('CACHED')]);
  const back = await build(runner, PATCHES[0], nonce);
  expect([back.exitCode, back.stderr]).toEqual([0, expect.stringContaining('CACHED')]);
});

test('who asks for a held line waits, visibly; the holder is not killed for it', async () => {
  const holder = await sleeping(runner, PATCHES[0]);
  const pid = (await runner.engine(PATCHES[0])).pid;
  const waiting = build(runner, PATCHES[1], String(Date.now()));
  await eventually('it waits', async () =>
    (await runner.engine(PATCHES[1])).waitingFor === `buildkit/${PATCHES[0]}` ? true : undefined,
  );
  expect((await bedplate(['status', ...runner.flag])).stdout).toContain(`waits for buildkit/${PATCHES[0]}`);
  const line = (await controlClient(runner.state).lines()).find((l) => l.line === '0.34');
  expect(line).toMatchObject({ holder: `buildkit/${PATCHES[0]}`, waiting: [`buildkit/${PATCHES[1]}`] });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(await runner.engine(PATCHES[0])).toMatchObject({ state: 'running', pid });
  await holder.stop();
  expect((await waiting).exitCode).toBe(0);
});

test('two clients that alternate patches of one minor lose no build', async () => {
  for (const builds of await alternate(runner, PATCHES, 15)) expect(builds).toBeGreaterThan(2);
});

test('a line that is held is not pruned; one that is not frees its disk, and builds go on', async () => {
  const holder = await sleeping(runner, PATCHES[0]);
  const refused = await bedplate(['prune', ...runner.flag, 'buildkit/0.34']);
  expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining(`in use by buildkit/${PATCHES[0]}`)]);
  await holder.stop();
  expect((await bedplate(['prune', ...runner.flag, 'buildkit/7.7'])).stderr).toContain('no such state line');
  await controlClient(runner.state).stop('buildkit', PATCHES[0]);
  await bedplateJson(['prune', ...runner.flag, 'buildkit/0.34']);
  expect(await runner.ctr(namespaceOf(BAKED), 'snapshots', 'ls')).toHaveLength(1);
  expect(await runner.ctr(namespaceOf(BAKED), 'content', 'ls', '-q')).toEqual([]);

  const before = diskUsage(runner.state.data);
  expect((await build(runner, BAKED, 'again')).exitCode).toBe(0);
  await controlClient(runner.state).stop('buildkit', BAKED);
  const filled = diskUsage(runner.state.data);
  await bedplateJson(['prune', ...runner.flag, 'buildkit/0.34']);
  const after = diskUsage(runner.state.data);
  // A static busybox of 2 MB was built in; databases and logs of containerd stay.
  expect(filled - before).toBeGreaterThan(2_000_000);
  expect(after - before).toBeLessThan(200_000);
});

test('with lineConflict ephemeral nobody waits: a temporary state, which ends with its engine', async () => {
  const other = await bootRunner('ephemeral', ['--line-conflict', 'ephemeral', '--idle', '1']);
  try {
    await addEngine(other, PATCHES[0], 'exec "$@"');
    const holder = await sleeping(other, BAKED);
    expect((await build(other, PATCHES[0], 'temporary')).exitCode).toBe(0);
    expect(await other.engine(PATCHES[0])).toMatchObject({ state: 'running', temporary: true });
    expect(await other.engine(BAKED)).toMatchObject({ state: 'running', temporary: false });
    await eventually('it has stopped', async () =>
      (await other.engine(PATCHES[0])).state === 'stopped' ? true : undefined,
    );
    expect((await controlClient(other.state).lines()).map(({ line }) => line)).not.toContain(`0.34-tmp-${PATCHES[0]}`);
    expect((await other.ctr('bedplate', 'namespaces', 'ls', '-q')).filter((name) => name.includes('tmp'))).toEqual([]);
    await holder.stop();
  } finally {
    await other.down();
  }
});
