/** Runs in the guest, as root: boots the runner, tries it, and writes what it finds to the second serial port (checks.ts). */
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { smokeBuild } from '../../../compat-matrix/smoke/smoke.ts';
import { messageOf } from '../../../images/error.ts';
import { tryRun } from '../../../images/process.ts';
import { controlClient } from '../../../images/runner/control.ts';
import { smokeShell } from '../../../scripts/commands/release.ts';
import {
  bedplateJson,
  buildArgs,
  buildContext,
  buildctl,
  buildOn,
  CACHE,
  eventually,
  LOCK,
  leftovers,
  runnerIn,
  running,
  SLEEPING,
  type TestRunner,
} from '../../harness.ts';
import {
  BARE_NETWORK,
  BOOTS,
  buildName,
  CGROUP_V2_ONLY,
  CLOCK,
  cgroupsName,
  killedName,
  NOTHING_LEFT,
  type Report,
  smokeName,
  stopName,
} from './checks.ts';

const CGROUPS = '/sys/fs/cgroup';
const CONTROLLERS = ['cpu', 'io', 'memory', 'pids'];
/** By emulation everything is slow. */
const PATIENCE_MS = 120_000;
const STATE = '/vm/state';
const versions = (process.env.VERSIONS ?? '').split(',');

const report = (line: Report) => appendFileSync('/dev/ttyS1', `${JSON.stringify(line)}\n`);
const read = (...path: string[]) => readFileSync(join(...path), 'utf8');
const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');

async function check<T>(name: string, probe: () => Promise<T> | T): Promise<T | undefined> {
  const start = performance.now();
  const seconds = () => Math.round((performance.now() - start) / 100) / 10;
  report({ note: name });
  try {
    const result = await probe();
    report({ name, status: 'pass', seconds: seconds(), reason: '' });
    return result;
  } catch (error) {
    report({ name, status: 'fail', seconds: seconds(), reason: messageOf(error) });
    return undefined;
  }
}

function cgroupV2Only(): void {
  const mounts = read('/proc/mounts')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type = '']) => type.startsWith('cgroup'))
    .map(([, path, type]) => ({ path, type }));
  assert.deepEqual(mounts, [{ path: CGROUPS, type: 'cgroup2' }]);
  const hierarchies = read('/proc/self/cgroup').trim().split('\n');
  assert.deepEqual(
    hierarchies.filter((line) => !line.startsWith('0::')),
    [],
  );
  const found = words(read(CGROUPS, 'cgroup.controllers'));
  for (const controller of CONTROLLERS) assert.ok(found.includes(controller), `v2 has no controller ${controller}`);
}

async function boots(): Promise<TestRunner> {
  await bedplateJson(['up', '--state', STATE, '--idle', '600']);
  const runner = runnerIn(STATE);
  const init = join(CGROUPS, runner.state.cgroupsPath, 'init');
  assert.ok(
    processesIn(init).some((args) => args.includes('bedplated')),
    `bedplated is not in ${init}`,
  );
  return runner;
}

async function smoke(runner: TestRunner, version: string): Promise<void> {
  const target = { engine: version, cli: version, buildctl: await buildctl(version), socket: runner.socket(version) };
  const { reason } = await smokeBuild(target, await smokeShell(LOCK, CACHE), `cgroup-v2-${Date.now()}`);
  assert.equal(reason, '');
}

interface SleepingBuild {
  /** The cgroup of its RUN. */
  readonly step: string;
  /** What buildctl said when it had ended; rejected when that takes long. */
  readonly ended: () => Promise<string>;
}

/** Starts a build; returns once its RUN sleeps. */
async function sleepingBuild(runner: TestRunner, version: string): Promise<SleepingBuild> {
  const context = await buildContext('cgroup-v2', SLEEPING);
  const args = buildArgs(runner.socket(version), context, join(context, 'out'), [
    `--opt=build-arg:NONCE=${Date.now()}`,
  ]);
  let output: string | undefined;
  void tryRun(await buildctl(version), args).then(({ exitCode, stderr }) => {
    output = `exit code ${exitCode}: ${stderr.trim().split('\n').slice(-6).join(' | ')}`;
  });
  const sleeps = (path: string) => processesIn(path).some((line) => line.endsWith('busybox sleep 300'));
  const step = await eventually(
    'the RUN sleeps',
    () => {
      assert.equal(output, undefined, 'the build ended before its RUN');
      return cgroupsBelow(join(CGROUPS, runner.state.cgroupsPath)).find(sleeps);
    },
    PATIENCE_MS,
  );
  return { step, ended: () => eventually('the build has ended', () => output, PATIENCE_MS) };
}

/** Looks where a sleeping build's processes are. */
function cgroupsOf(runner: TestRunner, version: string, step: string): void {
  const top = join(CGROUPS, runner.state.cgroupsPath);
  const both = join(top, 'bedplate-engines', `buildkit-${version}`);
  const engine = join(both, 'engine');
  // BuildKit before 0.15 takes no parent cgroup with its containerd worker.
  const work = version.startsWith('0.13.') ? join(top, 'buildkit') : join(both, 'work');
  assert.ok(step.startsWith(`${work}/`), `the RUN is in ${step}, not below ${work}`);
  const inEngine = processesIn(engine);
  assert.ok(inEngine.length > 0 && inEngine.every((line) => line.includes('buildkitd')), `${engine}: ${inEngine}`);
  assert.deepEqual(
    processesIn(top).filter((line) => line !== ''),
    [],
  );
  for (const path of [engine, step]) requireControllers(path);
}

function requireControllers(path: string): void {
  const enabled = words(read(path, 'cgroup.controllers'));
  for (const controller of CONTROLLERS)
    assert.ok(enabled.includes(controller), `${path} has no controller ${controller}, only ${enabled}`);
  for (const file of ['cpu.max', 'memory.max', 'memory.current', 'pids.max', 'pids.current'])
    assert.ok(existsSync(join(path, file)), `${path} has no ${file}`);
  for (const file of ['memory.current', 'pids.current'])
    assert.ok(Number(read(path, file)) > 0, `${path}: ${file} is ${read(path, file)}`);
}

/** Kills containerd under a sleeping build, which the supervisor then has to end; and waits until the runner is whole again. */
async function containerdKilled(runner: TestRunner, version: string): Promise<void> {
  const build = await sleepingBuild(runner, version);
  const pids = pidsIn(join(CGROUPS, runner.state.cgroupsPath, 'init'));
  const [containerd, ...more] = pids.filter((pid) => commandLine(pid).includes('/bin/containerd --config'));
  assert.ok(containerd !== undefined && more.length === 0, `not one containerd, but ${[containerd, ...more]}`);
  process.kill(Number(containerd), 'SIGKILL');
  const { ready, stop } = controlClient(runner.state);
  try {
    assert.match(await build.ended(), /failure waiting for process|error reading from server/);
    assert.deepEqual(processesIn(build.step), []);
  } finally {
    await eventually('containerd is back', async () => ((await ready()).ready ? true : undefined), PATIENCE_MS);
    await stop('buildkit', version);
  }
}

/** Stops an engine twice: the client of the cut build can connect once more before it gives up, and that starts the engine again. */
async function stops(runner: TestRunner, version: string, { ended }: SleepingBuild): Promise<void> {
  const { stop } = controlClient(runner.state);
  await stop('buildkit', version);
  assert.match(await ended(), /exit code 1/);
  await stop('buildkit', version);
  const top = join(CGROUPS, runner.state.cgroupsPath);
  const left = cgroupsBelow(top).filter((path) => path !== join(top, 'init'));
  assert.deepEqual(
    left.filter((path) => path.includes(version)),
    [],
  );
  assert.deepEqual(left.flatMap(processesIn), []);
}

async function nothingLeft(runner: TestRunner, before: readonly string[]): Promise<void> {
  await bedplateJson(['down', '--now', '--state', STATE]);
  assert.deepEqual(await leftovers(runner.state), []);
  assert.deepEqual(cgroupsBelow(CGROUPS), [CGROUPS]);
  // The builds whose engine was stopped end with it.
  await eventually('the processes are those of before', () => same(programs(), before) || undefined);
}

/** Nothing of IPv6 in the kernel, no iptables, neither the program nor the kernel's part. */
function bareNetwork(): void {
  for (const path of ['/proc/sys/net/ipv6', '/proc/net/ip_tables_names', '/usr/sbin/iptables', '/usr/sbin/nft'])
    assert.ok(!existsSync(path), `${path} is there`);
}

/** A build in flight goes on while the clock jumps an hour, forth and then back, and so does what comes after. */
async function clockJumps(runner: TestRunner, version: string): Promise<void> {
  await smoke(runner, version);
  const { pid } = await runner.engine(version);
  for (const hours of [1, -1]) {
    const build = buildOn(runner, version, running(`/bin/busybox sleep 5; echo ${Date.now()}`));
    const sleeps = () => programs().some((line) => line.endsWith('busybox sleep 5'));
    await eventually('the RUN sleeps', () => sleeps() || undefined, PATIENCE_MS);
    const at = Math.round(Date.now() / 1000) + hours * 3600;
    assert.equal((await tryRun('/vm/busybox', ['date', '-s', `@${at}`])).exitCode, 0);
    const { exitCode, stderr } = await build;
    assert.equal(exitCode, 0, stderr);
    await smoke(runner, version);
    assert.deepEqual(await runner.engine(version).then((e) => [e.state, e.pid]), ['running', pid]);
  }
}

/** The command lines of a cgroup's own processes. */
function processesIn(cgroup: string): string[] {
  return pidsIn(cgroup).map(commandLine);
}

function pidsIn(cgroup: string): string[] {
  try {
    return words(read(cgroup, 'cgroup.procs'));
  } catch {
    return []; // It has gone.
  }
}

function commandLine(pid: string): string {
  try {
    return read('/proc', pid, 'cmdline').replaceAll('\0', ' ').trim();
  } catch {
    return ''; // It has ended.
  }
}

/** Every process of the guest that is a program, by command line. */
function programs(): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(commandLine).filter((line) => line !== '');
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
}

/** A cgroup and all below it; none when it is not there. */
function cgroupsBelow(top: string): string[] {
  if (!existsSync(top)) return [];
  const below = readdirSync(top, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [top, ...below.flatMap((entry) => cgroupsBelow(join(top, entry.name)))];
}

report({ kernel: release() });
await check(CGROUP_V2_ONLY, cgroupV2Only);
await check(BARE_NETWORK, bareNetwork);
const before = programs();
const runner = await check(BOOTS, boots);
if (runner !== undefined) {
  for (const version of versions) {
    await check(smokeName(version), () => smoke(runner, version));
    const build = await check(buildName(version), () => sleepingBuild(runner, version));
    if (build !== undefined) {
      await check(cgroupsName(version), () => cgroupsOf(runner, version, build.step));
      await check(stopName(version), () => stops(runner, version, build));
    }
    await check(killedName(version), () => containerdKilled(runner, version));
  }
  await check(CLOCK, () => clockJumps(runner, versions[0] ?? ''));
  await check(NOTHING_LEFT, () => nothingLeft(runner, before));
}
