import { closeSync, cpSync, existsSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freeBytes } from '../cache.ts';
import { hexOf } from '../digest.ts';
import type { StartContract } from '../engines/engine.ts';
import { ENGINE_LABEL } from '../engines/engine-image.ts';
import { BedplateError } from '../error.ts';
import { writeFileAtomic } from '../files.ts';
import { type LayoutImage, readLayout, verifyLayoutImage } from '../oci/layout.ts';
import { hostPlatform } from '../platform.ts';
import { run } from '../process.ts';
import { runtimeSpec } from './bundle.ts';
import { controlClient, type EnginesAnswer } from './control.ts';
import { removeLeftovers } from './down.ts';
import type { Host } from './host.ts';
import { placeLocalEngines } from './local-engines.ts';
import { runc } from './runc.ts';
import { checkSocketPaths } from './socket-path.ts';
import {
  type HostMount,
  makeStateFolders,
  type RunnerRecord,
  type RunnerState,
  readRecord,
  writeRecord,
} from './state.ts';
import { placeTlsFiles, readTlsFiles, type TlsOptions } from './tls/place.ts';

export interface UpOptions {
  readonly state: RunnerState;
  /** An OCI image layout that has a runner, and engines besides. */
  readonly layout: string;
  readonly host: Host;
  /** The program that unpacks (images/layer/tool). */
  readonly packer: string;
  /** Without it, what was chosen when the runner was last started. */
  readonly choices?: RunnerChoices;
  /** How long the runner may take to be ready. */
  readonly readyTimeoutMs: number;
  /** Called when all is there to boot: stops the runner that is up. Without it, a state folder in use is refused. */
  readonly replace?: () => Promise<void>;
  readonly onStep?: (what: string) => void;
}

/** As bedplated has it: docs/spec/runner.md, "Disk". */
const LOW_BYTES = 16 * 1024 * 1024;

/** What the owner of the host chooses. */
export interface RunnerChoices {
  /** bedplated.json, but for what `up` knows itself: docs/spec/runner.md. bedplated validates it. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** A folder of pieces of engines' own configuration, `<kind>/buildkitd.toml`, and what they refer to. */
  readonly engineConfig?: string;
  /** The network port, when there is to be one. */
  readonly tls?: TlsOptions;
  /** Files and folders of the host that the runner sees, read-only. */
  readonly mounts: readonly HostMount[];
}

export interface UpResult extends EnginesAnswer {
  /** Whether the runner's image had to be unpacked, and how long each part took. */
  readonly unpacked: boolean;
  readonly unpackMs: number;
  readonly bootMs: number;
}

/**
 * Boots the runner of a layout on this host, as root, by the runc that is inside it. Returns when it is ready.
 * When it does not come up, nothing of it is left running, and the error has its last lines.
 */
export async function up(options: UpOptions): Promise<UpResult> {
  const { state, layout, onStep } = options;
  requireRoot('up');
  const tls = options.choices?.tls;
  const tlsFiles = tls === undefined ? [] : readTlsFiles(tls.certs);
  onStep?.('check the layout');
  const images = readLayout(layout, hostPlatform());
  const runner = images.find(({ name }) => name === 'runner');
  if (runner === undefined)
    throw new BedplateError('layout', `${layout} has no runner for ${hostPlatform()}`, 'Run ./bedplate build.');
  const engines = images.flatMap((image) => {
    const contract = contractOf(image);
    return contract === undefined ? [] : [{ image, contract }];
  });
  checkSocketPaths(
    state,
    engines.flatMap(({ contract: c }) => [`${c.kind}/${c.version}`, `${c.kind}/default`]),
  );
  if (options.replace === undefined) await refuseBusy(state);
  for (const image of [runner, ...engines.map((engine) => engine.image)]) await verifyLayoutImage(layout, image);

  giveReserve(state);
  makeStateFolders(state);
  const rootfs = join(state.images, hexOf(runner.manifest.digest));
  const unpacked = !existsSync(rootfs);
  const unpackStart = performance.now();
  if (unpacked) {
    onStep?.('unpack the runner');
    await run(options.packer, ['apply', '--layout', layout, '--manifest', runner.manifest.digest, '--dest', rootfs]);
  }
  const unpackMs = performance.now() - unpackStart;
  const baked = engines.filter(({ contract: c }) =>
    existsSync(join(rootfs, 'opt/bedplate/engines', c.kind, c.version)),
  );
  await options.replace?.();
  placeLocalEngines(
    state,
    layout,
    engines.filter((engine) => !baked.includes(engine)).map(({ image }) => image),
  );
  if (tls !== undefined) placeTlsFiles(state, tlsFiles);
  if (options.choices !== undefined) writeChoices(state, options.choices);
  const mounts = options.choices?.mounts ?? readRecord(state)?.mounts ?? [];
  writeFileAtomic(
    join(state.bundle, 'config.json'),
    JSON.stringify(runtimeSpec(state, rootfs, runner.config, options.host, mounts)),
  );
  const { version, manifest } = runner;
  const record: RunnerRecord = { schemaVersion: 1, version, digest: manifest.digest, rootfs, mounts };
  writeRecord(state, record);

  onStep?.('boot');
  const bootStart = performance.now();
  await start(state, record, { readyTimeoutMs: options.readyTimeoutMs, keepSockets: options.replace !== undefined });
  const bootMs = performance.now() - bootStart;
  removeOldImages(state, rootfs);
  return { ...(await controlClient(state).engines()), unpacked, unpackMs, bootMs };
}

function writeChoices(state: RunnerState, { tls, engineConfig, settings }: RunnerChoices): void {
  if (engineConfig !== undefined) {
    const placed = join(state.etc, 'engines');
    rmSync(placed, { recursive: true, force: true });
    cpSync(engineConfig, placed, { recursive: true });
  }
  const port = tls === undefined ? {} : { tlsListen: tls.listen, tlsSuffix: tls.suffix };
  writeFileAtomic(join(state.etc, 'bedplated.json'), JSON.stringify({ ...settings, hostRun: state.run, ...port }));
}

export function requireRoot(command: string): void {
  if (process.getuid?.() === 0) return;
  throw new BedplateError(
    'permission',
    `bedplate ${command} needs root: it starts a privileged container`,
    `Run it with sudo: sudo ./bedplate ${command}.`,
  );
}

function contractOf(image: LayoutImage): StartContract | undefined {
  const label = image.config.config.Labels?.[ENGINE_LABEL];
  return label === undefined ? undefined : (JSON.parse(label) as StartContract);
}

/** A state folder serves one runner at a time; what a dead one left is cleared. */
async function refuseBusy(state: RunnerState): Promise<void> {
  const record = readRecord(state);
  if (record === undefined || !existsSync(record.rootfs)) return;
  const found = await runc(state, record).state();
  if (found === undefined) return;
  if (found.status !== 'stopped') {
    throw new BedplateError(
      'state',
      `${state.folder} is in use: runner ${record.version} runs there (process ${found.pid})`,
      `Stop it with ./bedplate down --state ${state.folder}, or choose another folder with --state.`,
    );
  }
  await removeLeftovers(state, record, { keepSockets: false });
}

interface StartOptions {
  readonly readyTimeoutMs: number;
  readonly keepSockets: boolean;
}

/** Starts the container of the bundle and returns when the runner is ready. When it is not, nothing of it is left. */
export async function start(
  state: RunnerState,
  record: RunnerRecord,
  { readyTimeoutMs, keepSockets }: StartOptions,
): Promise<void> {
  const logStart = existsSync(state.log) ? statSync(state.log).size : 0;
  const log = openSync(state.log, 'a', 0o640);
  const container = runc(state, record);
  try {
    const exitCode = await container.start(log);
    if (exitCode !== 0) throw await failure(`runc could not start it (exit code ${exitCode})`);
    const deadline = performance.now() + readyTimeoutMs;
    const control = controlClient(state);
    for (let round = 1; ; round++) {
      const { ready, reason } = await control.ready();
      if (ready) return;
      // Asking runc costs a process: once in a while is enough.
      const alive = round % 50 !== 0 || (await container.state())?.status === 'running';
      if (!alive) throw await failure('it ended while it was starting');
      if (performance.now() > deadline)
        throw await failure(`it was not ready within ${readyTimeoutMs / 1000} s: ${reason}`);
      await sleep(5);
    }
  } finally {
    closeSync(log);
  }

  async function failure(what: string): Promise<BedplateError> {
    const lines = readFileSync(state.log).subarray(logStart).toString().trim().split('\n').slice(-8).join('\n');
    await removeLeftovers(state, record, { keepSockets });
    return new BedplateError(
      'runner',
      `the runner in ${state.folder} did not come up: ${what}\n${lines}`,
      `Its whole log is ${state.log}.`,
    );
  }
}

/** On a full disk what the runner holds in reserve is what it starts with; it takes it again when there is room. */
function giveReserve(state: RunnerState): void {
  if (existsSync(state.folder) && freeBytes(state.folder) < LOW_BYTES)
    rmSync(join(state.data, 'reserve'), { force: true });
}

function removeOldImages(state: RunnerState, current: string): void {
  for (const name of readdirSync(state.images)) {
    const path = join(state.images, name);
    if (path !== current) rmSync(path, { recursive: true, force: true });
  }
}
