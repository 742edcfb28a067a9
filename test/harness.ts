import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type SmokeResult, smokeBuild } from '../compat-matrix/smoke/smoke.ts';
import { cliPath } from '../images/build.ts';
import { cacheFolder } from '../images/cache.ts';
import { components } from '../images/components.ts';
import { type Config, loadConfig } from '../images/config.ts';
import { checkedLock } from '../images/lock/read.ts';
import type { Lock } from '../images/lock/schema.ts';
import { type RunResult, tryRun } from '../images/process.ts';
import { controlClient, type EngineStatus, type EnginesAnswer, hostSocket } from '../images/runner/control.ts';
import { runc } from '../images/runner/runc.ts';
import { type RunnerState, readRecord, runnerState } from '../images/runner/state.ts';
import { smokeShell } from '../scripts/commands/release.ts';

export const ROOT = dirname(import.meta.dirname);
export const CACHE = cacheFolder(process.env);
export const LAYOUT = join(ROOT, 'dist', 'oci');
export const CONFIG = await loadConfig(join(ROOT, 'bedplate.config.ts'), 'bedplate.config.ts');
export const LOCK = checkedLock(ROOT, CONFIG);

/** A checkout of this repo: its own, or a copy with another config. */
export interface Checkout {
  readonly root: string;
  readonly config: Config;
  readonly lock: Lock;
}

const HERE: Checkout = { root: ROOT, config: CONFIG, lock: LOCK };

/** The newest, a middle and the oldest engine: what lands is tried on these; nightly on all. */
export const VERSIONS = ['0.34.2', '0.29.0', '0.13.2'] as const;
export const BAKED = VERSIONS[0];

if (process.getuid?.() !== 0) throw new Error('These tests boot runners: run them as root (sudo ./bedplate test).');

/** Runs the CLI as a person would. */
export function bedplate(
  args: readonly string[],
  options: { env?: Record<string, string>; root?: string; cwd?: string } = {},
): Promise<RunResult> {
  const env = { ...(process.env as Record<string, string>), NO_COLOR: '1', CI: '1', ...options.env };
  return tryRun(process.execPath, [join(options.root ?? ROOT, 'scripts/cli.ts'), ...args], {
    env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
}

/** Like `bedplate`, for what has to succeed; gives the JSON that --json printed. */
export async function bedplateJson<T>(
  args: readonly string[],
  options: { env?: Record<string, string>; root?: string } = {},
): Promise<T> {
  const { exitCode, stdout, stderr } = await bedplate([...args, '--json'], options);
  if (exitCode !== 0) throw new Error(`bedplate ${args.join(' ')}: exit code ${exitCode}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as T;
}

let built: Promise<void> | undefined;

/** dist/oci, built when it is not there (nothing is compiled twice). */
export function ensureBuilt(): Promise<void> {
  built ??= bedplateJson(['build']).then(() => undefined);
  return built;
}

/** A folder that the test's end has to remove. */
export function temporaryFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `bedplate-test-${name}-`));
}

/** A runner that is up, and the ways to reach it. */
export interface TestRunner {
  readonly state: RunnerState;
  readonly flag: readonly string[];
  engines(): Promise<EnginesAnswer>;
  engine(version: string): Promise<EngineStatus>;
  socket(version: string): string;
  /** Runs a program inside the runner. */
  inside(...args: string[]): Promise<RunResult>;
  ctr(namespace: string, ...args: string[]): Promise<string[]>;
  /** The host's process id of bedplated. */
  pid(): number;
  down(): Promise<void>;
}

/** Boots dist/oci into a state folder of its own, or into the one given. */
export async function bootRunner(
  name: string,
  flags: readonly string[] = [],
  folder = temporaryFolder(name),
): Promise<TestRunner> {
  await ensureBuilt();
  await bedplateJson(['up', '--state', folder, ...flags]);
  return runnerIn(folder);
}

export function runnerIn(folder: string): TestRunner {
  const state = runnerState(folder);
  const record = readRecord(state);
  if (record === undefined) throw new Error(`no runner was ever up in ${folder}`);
  const control = controlClient(state);
  const inside = (...args: string[]) => runc(state, record).exec(args);
  return {
    state,
    flag: ['--state', folder],
    engines: () => control.engines(),
    engine: async (version) => {
      const found = (await control.engines()).engines.find((e) => e.version === version);
      if (found === undefined) throw new Error(`the runner has no engine ${version}`);
      return found;
    },
    socket: (version) => hostSocket(state, `/run/bedplate/buildkit/${version}.sock`),
    inside,
    ctr: async (namespace, ...args) => {
      const { exitCode, stdout, stderr } = await inside('/opt/bedplate/runner/bin/ctr', '-n', namespace, ...args);
      if (exitCode !== 0) throw new Error(`ctr ${args.join(' ')}: ${stderr}`);
      return stdout.split('\n').filter((line) => line.trim() !== '');
    },
    pid: () => runc(state, record).lastPid(),
    down: async () => {
      await bedplateJson(['down', '--now', '--purge', '--state', folder]);
    },
  };
}

/** The containerd namespace of what an engine runs: its state line's. */
export function namespaceOf(version: string): string {
  return `buildkit-${version.split('.').slice(0, 2).join('.')}`;
}

/** The path of an unmodified buildctl of a version. */
export async function buildctl(version: string, checkout = HERE): Promise<string> {
  const platform = 'linux/amd64';
  const { engines } = components({ ...checkout, platform, host: platform });
  const engine = engines.find((e) => e.version === version);
  if (engine === undefined) throw new Error(`the lock has no buildkit ${version}`);
  return (await cliPath(engine, 'buildctl', { lock: checkout.lock, cache: CACHE })).path;
}

/** A smoke build through one engine, by its own buildctl when no other is named. */
export async function smoke(
  runner: TestRunner,
  engine: string,
  { cli = engine, checkout = HERE }: { cli?: string; checkout?: Checkout } = {},
): Promise<SmokeResult> {
  const target = { engine, cli, buildctl: await buildctl(cli, checkout), socket: runner.socket(engine) };
  return smokeBuild(target, await smokeShell(checkout.lock, CACHE), randomUUID());
}

/** The version that the engine behind a socket says it is. */
export async function versionOver(socket: string): Promise<string> {
  const { stdout } = await tryRun(await buildctl(BAKED), ['--addr', `unix://${socket}`, 'debug', 'info']);
  return /buildkitd? .*?v?(\d+\.\d+\.\d+)/i.exec(stdout)?.[1] ?? stdout;
}

/** What the control API answered. */
export interface ControlAnswer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** Any call of the control API; of a stream of events, the first. */
export function callControl(state: RunnerState, method: string, path: string): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const socketPath = join(state.run, 'control.sock');
    const req = request({ socketPath, method: method.toUpperCase(), path, agent: false }, (res) => {
      const type = (res.headers['content-type'] ?? '').split(';')[0] ?? '';
      let text = '';
      const end = () => resolve({ status: res.statusCode ?? 0, type, text });
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (type === 'text/event-stream') res.destroy();
      });
      res.on('close', end);
    });
    req.on('error', reject).end();
  });
}

/** How many starts of engines the runner's metrics have, failed ones too. */
export async function startsOf({ state }: TestRunner): Promise<number> {
  const { text } = await callControl(state, 'GET', '/metrics');
  const rows = text.split('\n').filter((row) => row.startsWith('bedplate_engine_starts_total{'));
  return rows.reduce((sum, row) => sum + Number(row.split(' ')[1]), 0);
}

/** Returns when no engine runs, and none is about to. */
export async function allStopped(runner: TestRunner): Promise<void> {
  await eventually('every engine has stopped', async () =>
    (await runner.engines()).engines.every((e) => e.state === 'stopped') ? true : undefined,
  );
}

/** A build context with a static busybox and a Dockerfile; the folder is the caller's to remove. */
export async function buildContext(name: string, dockerfile: string): Promise<string> {
  const folder = temporaryFolder(name);
  const busybox = join(folder, 'busybox');
  copyFileSync(await smokeShell(LOCK, CACHE), busybox);
  chmodSync(busybox, 0o755);
  writeFileSync(join(folder, 'Dockerfile'), dockerfile);
  return folder;
}

/** Builds a Dockerfile on an engine with the newest buildctl, to nowhere. */
export async function buildOn(
  runner: TestRunner,
  version: string,
  dockerfile: string,
  extra: readonly string[] = [],
): Promise<RunResult> {
  const context = await buildContext('build', dockerfile);
  const output = temporaryFolder('output');
  try {
    return await tryRun(await buildctl(BAKED), buildArgs(runner.socket(version), context, output, extra));
  } finally {
    removeFolder(context);
    removeFolder(output);
  }
}

/** A Dockerfile of one RUN, by the static busybox's shell. */
export function running(script: string): string {
  return `FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "sh", "-c", ${JSON.stringify(script)}]\n`;
}

/** The arguments of a `buildctl build` of a context, to a folder. */
export function buildArgs(socket: string, context: string, output: string, extra: readonly string[] = []): string[] {
  return [
    '--addr',
    `unix://${socket}`,
    'build',
    '--progress=plain',
    '--frontend=dockerfile.v0',
    `--local=context=${context}`,
    `--local=dockerfile=${context}`,
    `--output=type=local,dest=${output}`,
    ...extra,
  ];
}

/** A Dockerfile whose RUN sleeps, so that it can be watched and killed. */
export const SLEEPING = `FROM scratch
COPY busybox /bin/busybox
ARG NONCE
RUN ["/bin/busybox", "sleep", "300"]
`;

/** Waits until `probe` gives something, or fails with `what`. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What of a runner is left on this host: processes, mounts, cgroups, network namespaces, sockets. */
export async function leftovers(state: RunnerState): Promise<string[]> {
  return [
    ...hostMounts(state).map((line) => `mount: ${line}`),
    ...processesOf(state).map(({ pid, command }) => `process ${pid}: ${command}`),
    ...cgroupsOf(state).map((path) => `cgroup: ${path}`),
    ...(existsSync(state.run) ? [`sockets: ${state.run}`] : []),
  ];
}

/** The lines of this host's mountinfo that name the state folder. */
function hostMounts(state: RunnerState): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(state.folder));
}

/** A runner's processes, those of its engines and their builds too, with the host's ids. */
export function processesOf(state: RunnerState): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && readFileOrNothing(`/proc/${name}/cgroup`).includes(state.cgroupsPath))
    .map((name) => ({
      pid: Number(name),
      command: readFileOrNothing(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim(),
    }));
}

/** A runner's own cgroup in each hierarchy, version 2's single one included. */
export function cgroupsOf(state: RunnerState): string[] {
  return ['', ...readdirSync('/sys/fs/cgroup')]
    .map((hierarchy) => join('/sys/fs/cgroup', hierarchy, state.cgroupsPath))
    .filter((path) => existsSync(path));
}

/** The network namespaces of this host's processes, or of one runner's, by inode. */
export function networkNamespaces(of?: RunnerState): Set<string> {
  const found = new Set<string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (of !== undefined && !readFileOrNothing(`/proc/${pid}/cgroup`).includes(of.cgroupsPath)) continue;
    try {
      found.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // It has ended.
    }
  }
  return found;
}

function readFileOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** What decides what is built, as it is in this checkout, put into a folder where the CLI can run. */
export function copySources(to: string): void {
  for (const name of [
    'images',
    'scripts',
    'release',
    'compat-matrix',
    'bedplate.config.ts',
    'bedplate.lock.json',
    'package.json',
  ]) {
    cpSync(join(ROOT, name), join(to, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(to, 'node_modules'));
}

/** Removes a folder that a test made. */
export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

export function makeFolder(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}
