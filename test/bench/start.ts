/**
 * How long until an engine answers? In one run, round by round in turn: a bare buildkitd with its OCI worker on this host, a bare
 * containerd, a bare buildkitd with its containerd worker on that one, and the runner (start → containerd ready → baked engine ready),
 * then connections to engines that do not run. Ready is: a gRPC call is answered. Aims: the runner's engine within 1.5 × (bare buildkitd
 * + bare containerd); a first connection within 1.3 × a bare buildkitd (containerd worker, as the runner's engines have).
 *
 *     sudo node test/bench/start.ts [--rounds 5] [--json]
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { compile } from '../../images/compile/compile.ts';
import { components } from '../../images/components.ts';
import { programNamed } from '../../images/engines/engine-image.ts';
import { start } from '../../images/process.ts';
import { controlClient } from '../../images/runner/control.ts';
import { down } from '../../images/runner/down.ts';
import { runc } from '../../images/runner/runc.ts';
import { makeStateFolders, readRecord } from '../../images/runner/state.ts';
import { table } from '../../release/local/summary.ts';
import { BAKED, bootRunner, CACHE, CONFIG, LOCK, ROOT, removeFolder, temporaryFolder, VERSIONS } from '../harness.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } },
});
const parts = components({ root: ROOT, config: CONFIG, lock: LOCK, platform: 'linux/amd64', host: 'linux/amd64' });
const program = async (input: typeof parts.runc, name: string) =>
  programNamed(await compile(input, { lock: LOCK, cache: CACHE }), name).path;
const engine = parts.engines.find((e) => e.version === BAKED);
if (engine === undefined) throw new Error(`the lock has no buildkit ${BAKED}`);
const programs = {
  buildkitd: await program(engine.input, 'buildkitd'),
  containerd: await program(parts.containerd, 'containerd'),
  runc: await program(parts.runc, 'runc'),
};
const second = VERSIONS[1];

const work = temporaryFolder('bench');
const runner = await bootRunner('bench-runner');
const { state } = runner;
const record = readRecord(state);
if (record === undefined) throw new Error('up leaves a record');
await down(state, { timeoutMs: 60_000, now: true });

const BARE_WORKER = 'bare buildkitd (containerd worker)';
const FIRST_CONNECTION = 'runner: first connection → the same engine ready';

const samples: Record<string, number[]> = {};
const add = (name: string, ms: number) => {
  samples[name] = [...(samples[name] ?? []), ms];
};

/** Round 0 fills caches and is not counted. */
for (let round = 0; round <= Number(values.rounds); round++) {
  const counted = round > 0;
  const note = (name: string, ms: number) => counted && add(name, ms);
  note('bare buildkitd (OCI worker)', await bareBuildkitd());
  const bare = await bareContainerd();
  note('bare containerd', bare.containerdMs);
  note(BARE_WORKER, bare.buildkitdMs);
  const found = await runnerRound();
  note('runner: start → containerd ready', found.containerdMs);
  note('runner: start → baked engine ready', found.engineMs);
  note(FIRST_CONNECTION, found.bakedAgainMs);
  note(`second engine ${second}, first start (unpacks)`, found.secondFirstMs);
  note(`second engine ${second}, later start`, found.secondLaterMs);
}
removeFolder(state.folder);
removeFolder(work);
report();

async function bareBuildkitd(): Promise<number> {
  const root = join(work, 'buildkitd');
  mkdirSync(root, { recursive: true });
  const socket = join(root, 'buildkitd.sock');
  rmSync(socket, { force: true });
  return timed(
    programs.buildkitd,
    [
      '--root',
      root,
      '--addr',
      `unix://${socket}`,
      '--otel-socket-path',
      join(root, 'otel.sock'),
      '--containerd-worker=false',
      '--oci-worker=true',
      `--oci-worker-binary=${programs.runc}`,
      '--oci-worker-snapshotter=overlayfs',
      '--oci-worker-net=host',
    ],
    () => answers(socket),
  );
}

/** A containerd, and on it a buildkitd as the runner's engines are started. */
async function bareContainerd(): Promise<{ containerdMs: number; buildkitdMs: number }> {
  const root = join(work, 'containerd');
  const socket = join(root, 'containerd.sock');
  mkdirSync(root, { recursive: true });
  rmSync(socket, { force: true });
  const args = ['--root', join(root, 'root'), '--state', join(root, 'state'), '--address', socket];
  const containerd = await launch(programs.containerd, args, () => answers(socket));
  const engineSocket = join(root, 'buildkitd.sock');
  rmSync(engineSocket, { force: true });
  const buildkitdMs = await timed(
    programs.buildkitd,
    [
      '--root',
      join(root, 'buildkitd'),
      '--addr',
      `unix://${engineSocket}`,
      '--otel-socket-path',
      join(root, 'otel.sock'),
      '--oci-worker=false',
      '--containerd-worker=true',
      `--containerd-worker-addr=${socket}`,
      '--containerd-worker-snapshotter=overlayfs',
      '--containerd-worker-net=host',
    ],
    () => answers(engineSocket),
  );
  await containerd.stop();
  return { containerdMs: containerd.ms, buildkitdMs };
}

async function launch(command: string, args: readonly string[], ready: () => Promise<void>) {
  const log = openSync(join(work, 'log'), 'a');
  const begin = performance.now();
  const daemon = start(command, args, log);
  await ready();
  const ms = performance.now() - begin;
  const stop = async () => {
    daemon.kill('SIGTERM');
    await daemon.ended;
    closeSync(log);
  };
  return { ms, stop };
}

async function timed(command: string, args: readonly string[], ready: () => Promise<void>): Promise<number> {
  const { ms, stop } = await launch(command, args, ready);
  await stop();
  return ms;
}

async function runnerRound() {
  makeStateFolders(state);
  const logStart = statSync(state.log, { throwIfNoEntry: false })?.size ?? 0;
  const log = openSync(state.log, 'a');
  const begin = performance.now();
  if (record === undefined || (await runc(state, record).start(log)) !== 0)
    throw new Error(`the runner did not start: ${state.log}`);
  await answers(runner.socket('default'));
  const engineMs = performance.now() - begin;
  closeSync(log);
  // bedplated's own clock begins when it does: what runc took before is in engineMs only.
  const line = readFileSync(state.log)
    .subarray(logStart)
    .toString()
    .split('\n')
    .find((text) => text.includes('"containerd ready"'));
  const containerdMs = (JSON.parse(line ?? '{}') as { ms?: number }).ms ?? Number.NaN;
  await forgetImages();
  const secondFirstMs = await once(second);
  await stopped(second);
  const secondLaterMs = await once(second);
  await stopped(second);
  await stopped(BAKED);
  const bakedAgainMs = await once(BAKED);
  await down(state, { timeoutMs: 60_000, now: true });
  return { engineMs, containerdMs, secondFirstMs, secondLaterMs, bakedAgainMs };
}

/** So that the second engine's image has to be imported and unpacked; the rest of containerd's state stays as it is, like the peers'. */
async function forgetImages(): Promise<void> {
  for (const name of await runner.ctr('bedplate', 'images', 'ls', '-q'))
    await runner.ctr('bedplate', 'images', 'rm', '--sync', name);
}

async function once(version: string): Promise<number> {
  const begin = performance.now();
  await answers(runner.socket(version));
  return performance.now() - begin;
}

async function stopped(version: string): Promise<void> {
  await controlClient(state).stop('buildkit', version);
}

/** Waits until a gRPC server answers a call, whatever it says of it: a server that merely listens, or whose clients are held, does not. */
async function answers(socket: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await answered(socket))) {
    if (performance.now() > deadline) throw new Error(`no answer on ${socket} within 60 s`);
    await sleep(1);
  }
}

function answered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const session = connectHttp2('http://localhost', { createConnection: () => connect(socket) });
    const end = (result: boolean) => {
      resolve(result);
      session.destroy();
    };
    session.once('error', () => end(false)).once('close', () => end(false));
    const call = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    call.once('response', () => end(true)).once('error', () => end(false));
    call.end(Buffer.alloc(5));
  });
}

function median(of: readonly number[]): number {
  const sorted = [...of].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

function report(): void {
  const rows = Object.entries(samples).map(([name, ms]) => ({
    name,
    medianMs: median(ms),
    minMs: Math.min(...ms),
    maxMs: Math.max(...ms),
  }));
  const paired = (samples['runner: start → baked engine ready'] ?? []).map(
    (ms, i) => ms / ((samples['bare buildkitd (OCI worker)']?.[i] ?? 0) + (samples['bare containerd']?.[i] ?? 0)),
  );
  const ratio = median(paired);
  const firstConnectionRatio = median(
    (samples[FIRST_CONNECTION] ?? []).map((ms, i) => ms / (samples[BARE_WORKER]?.[i] ?? 0)),
  );
  if (values.json) {
    console.log(JSON.stringify({ rows, ratio, firstConnectionRatio }));
    return;
  }
  const ms = (value: number) => value.toFixed(0);
  console.log(
    table(
      ['', 'median ms', 'min', 'max'],
      rows.map((row) => [row.name, ms(row.medianMs), ms(row.minMs), ms(row.maxMs)]),
    ),
  );
  console.log(
    `\nrunner start → engine ready, over (bare buildkitd + bare containerd): ${ratio.toFixed(2)} (aim: at most 1.5)`,
  );
  console.log(
    `first connection → engine ready, over bare buildkitd: ${firstConnectionRatio.toFixed(2)} (aim: at most 1.3)`,
  );
}
