import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { smokeBuild } from '../compat-matrix/smoke/smoke.ts';
import { tryRun } from '../images/process.ts';
import { smokeShell } from '../scripts/commands/release.ts';
import {
  BAKED,
  bedplate,
  bootRunner,
  buildArgs,
  buildContext,
  buildctl,
  CACHE,
  eventually,
  LOCK,
  namespaceOf,
  removeFolder,
  SLEEPING,
  type TestRunner,
  VERSIONS,
  versionOver,
} from './harness.ts';

let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('versions');
});
afterAll(() => runner.down());

test('before the first connection no engine runs, and containerd has neither content nor snapshot', async () => {
  expect((await runner.engines()).engines.map((e) => e.state)).not.toContain('running');
  expect(await runner.ctr('bedplate', 'content', 'ls', '-q')).toEqual([]);
  expect(await runner.ctr('bedplate', 'containers', 'ls', '-q')).toEqual([]);
});

test('the baked engine starts without a byte copied, pulled or unpacked', async () => {
  const { exitCode } = await tryRun(await buildctl(BAKED), [
    '--addr',
    `unix://${runner.socket('default')}`,
    'debug',
    'workers',
  ]);
  expect(exitCode).toBe(0);
  expect((await runner.engine(BAKED)).state).toBe('running');
  expect(await runner.ctr('bedplate', 'content', 'ls', '-q')).toEqual([]);
  const snapshots = await runner.ctr('bedplate', 'snapshots', 'ls');
  expect(snapshots.slice(1)).toEqual([]);
});

describe.each(VERSIONS)('buildctl %s', (cli) => {
  test.each(VERSIONS)('builds with engine %s', async (engine) => {
    const target = { engine, cli, buildctl: await buildctl(cli), socket: runner.socket(engine) };
    const result = await smokeBuild(target, await smokeShell(LOCK, CACHE), `${cli}-${engine}-${Date.now()}`);
    expect(result).toMatchObject({ status: 'pass', reason: '' });
  });
});

test('three engines run at once, each the version its socket says', async () => {
  const versions: string[] = [];
  for (const version of VERSIONS) {
    expect((await runner.engine(version)).state).toBe('running');
    versions.push(await versionOver(runner.socket(version)));
  }
  expect(versions).toEqual([...VERSIONS]);
});

test('a RUN step is a task of containerd in the engine’s namespace, not a child of the engine’s container', async () => {
  const version = VERSIONS[1];
  const context = await buildContext('sibling', SLEEPING);
  const cli = await buildctl(version);
  const args = buildArgs(runner.socket(version), context, join(context, 'out'), [
    `--opt=build-arg:NONCE=${Date.now()}`,
  ]);
  const build = tryRun(cli, args);
  try {
    const task = await eventually('a task in the namespace of the engine', async () => {
      const rows = (await runner.ctr(namespaceOf(version), 'tasks', 'ls'))
        .slice(1)
        .map((row) => row.trim().split(/\s+/));
      return rows.find(([, , status]) => status === 'RUNNING');
    });
    const engine = await runner.engine(version);
    const ancestors: number[] = [];
    for (let pid = Number(task[1]); pid > 1; ancestors.push(pid)) pid = await parentOf(runner, pid);
    expect(ancestors.at(-1)).toBe(1);
    expect(ancestors).not.toContain(engine.pid);
    for (const other of VERSIONS.filter((v) => v !== version)) {
      expect((await runner.ctr(namespaceOf(other), 'tasks', 'ls')).slice(1)).toEqual([]);
    }
  } finally {
    await tryRun('pkill', ['-f', context]);
    await build;
    removeFolder(context);
  }
});

/** A process's parent in the runner's PID namespace, whose view is below /proc/<init>/root. */
async function parentOf(target: TestRunner, pid: number): Promise<number> {
  const { stdout } = await tryRun('cat', [`/proc/${target.pid()}/root/proc/${pid}/status`]);
  return Number(/^PPid:\s*(\d+)$/m.exec(stdout)?.[1] ?? 0);
}

test('exec runs the engine’s own CLI by default, and another version when asked', async () => {
  const own = await bedplate(['exec', ...runner.flag, '--engine', '0.13', '--', 'buildctl', '--version']);
  expect(own.stdout).toContain('v0.13.2');
  const other = await bedplate([
    'exec',
    ...runner.flag,
    '--engine',
    '0.13',
    '--cli',
    '0.29',
    '--',
    'buildctl',
    '--version',
  ]);
  expect(other.stdout).toContain('v0.29.0');
  const failing = await bedplate(['exec', '--engine', '0.13', '--', 'buildctl', 'no-such-command'], {
    env: { RUNNER: runner.state.folder },
  });
  expect(failing.exitCode).not.toBe(0);
});

test('sockets have the owner, group and mode that were asked for', async () => {
  const grouped = await bootRunner('group', ['--socket-group', 'daemon', '--socket-mode', '0620']);
  try {
    const gid = Number(
      readFileSync('/etc/group', 'utf8')
        .split('\n')
        .find((row) => row.startsWith('daemon:'))
        ?.split(':')[2],
    );
    for (const path of [grouped.socket('default'), grouped.socket('0.13.2'), join(grouped.state.run, 'control.sock')]) {
      const stat = statSync(path);
      expect([stat.uid, stat.gid, stat.mode & 0o777]).toEqual([0, gid, 0o620]);
    }
    expect(grouped.state.cgroupsPath).not.toBe(runner.state.cgroupsPath);
    const target = { engine: BAKED, cli: BAKED, buildctl: await buildctl(BAKED), socket: grouped.socket('default') };
    expect(await smokeBuild(target, await smokeShell(LOCK, CACHE), `two-${Date.now()}`)).toMatchObject({
      status: 'pass',
    });
    expect((await runner.engine(BAKED)).state).toBe('running');
  } finally {
    await grouped.down();
  }
});
