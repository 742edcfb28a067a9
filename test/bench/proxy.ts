/**
 * What does the runner cost beside a bare engine? In one run, round by round in turn: a build whose context is 1 GiB through the runner's socket and
 * through the same engine's own; then the memory of `bedplated` before and after, and, without engines, the memory and processor time
 * of the idle runner. Aims: at least 0.95 of the direct throughput, memory flat, no processor time.
 *
 *     sudo node test/bench/proxy.ts [--rounds 3] [--mib 1024] [--json]
 */
import { closeSync, openSync, readdirSync, readFileSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { run } from '../../images/process.ts';
import { controlClient } from '../../images/runner/control.ts';
import { table } from '../../release/local/summary.ts';
import { BAKED, bootRunner, buildArgs, buildctl, removeFolder, temporaryFolder } from '../harness.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    mib: { type: 'string', default: '1024' },
    json: { type: 'boolean', default: false },
  },
});
const MIB = Number(values.mib);
const IDLE_SECONDS = 20;

const context = temporaryFolder('bench-context');
writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY big /big\n');
fill(join(context, 'big'));
const runner = await bootRunner('bench-proxy');
const cli = await buildctl(BAKED);
const through = runner.socket(BAKED);
const direct = `/proc/${runner.pid()}/root/run/engines/buildkit/${BAKED}/engine.sock`;

const seconds = { through: [] as number[], direct: [] as number[] };
let before = 0;
try {
  // Round 0 starts the engine and fills caches; it is not counted. Who comes first changes from round to round.
  for (let round = 0; round <= Number(values.rounds); round++) {
    const order = round % 2 === 0 ? (['through', 'direct'] as const) : (['direct', 'through'] as const);
    for (const way of order) {
      const took = await upload(way === 'through' ? through : direct, `${round}-${way}`);
      if (round > 0) seconds[way].push(took);
    }
    if (round === 0) before = rssMib(runner.pid());
  }
  const after = rssMib(runner.pid());
  await controlClient(runner.state).stop('buildkit', BAKED);
  const idle = await idleRunner();
  report(after, idle);
} finally {
  await runner.down();
  removeFolder(context);
}

function fill(path: string): void {
  const file = openSync(path, 'w');
  const chunk = Buffer.alloc(1 << 20);
  for (let n = 0; n < MIB; n++) {
    for (let at = 0; at < chunk.length; at += 4096) chunk.writeUInt32LE((n * 256 + at) >>> 0, at);
    writeSync(file, chunk);
  }
  closeSync(file);
}

/** A new date makes the client send the whole file again. */
async function upload(socket: string, name: string): Promise<number> {
  const now = new Date();
  utimesSync(join(context, 'big'), now, now);
  const args = buildArgs(socket, context, '', [`--opt=build-arg:NAME=${name}`]).filter(
    (arg) => !arg.startsWith('--output'),
  );
  const begin = performance.now();
  await run(cli, args);
  return (performance.now() - begin) / 1000;
}

function rssMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024;
}

/** utime and stime, in clock ticks of 10 ms: proc(5), /proc/pid/stat. */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function idleRunner() {
  const own = runner.pid();
  const containerd = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => parentOf(pid) === own && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/containerd\0'));
  if (containerd === undefined) throw new Error('the runner has no containerd');
  const pids = { bedplated: own, containerd };
  const start = { bedplated: processorSeconds(own), containerd: processorSeconds(containerd) };
  await sleep(IDLE_SECONDS * 1000);
  return Object.entries(pids).map(([name, pid]) => ({
    name,
    rssMib: rssMib(pid),
    percent: ((processorSeconds(pid) - start[name as keyof typeof start]) / IDLE_SECONDS) * 100,
  }));
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return 0; // it has ended
  }
}

function report(after: number, idle: { name: string; rssMib: number; percent: number }[]): void {
  const median = (of: readonly number[]) => [...of].sort((a, b) => a - b)[of.length >> 1] ?? Number.NaN;
  const ratio = median(seconds.direct.map((direct, i) => direct / (seconds.through[i] ?? Number.NaN)));
  if (values.json) {
    console.log(JSON.stringify({ mib: MIB, seconds, ratio, bedplatedMib: { before, after }, idle }));
    return;
  }
  const row = (name: string, of: readonly number[]) => [
    name,
    median(of).toFixed(2),
    Math.min(...of).toFixed(2),
    Math.max(...of).toFixed(2),
    (MIB / median(of)).toFixed(0),
  ];
  console.log(
    table(
      [`context of ${MIB} MiB`, 'median s', 'min', 'max', 'MiB/s'],
      [row('direct', seconds.direct), row('through the runner', seconds.through)],
    ),
  );
  console.log(`\nthroughput through the runner, over direct: ${ratio.toFixed(2)} (aim: at least 0.95)`);
  console.log(`bedplated: ${before.toFixed(1)} MiB after the first round, ${after.toFixed(1)} MiB after the last\n`);
  console.log(
    table(
      [`idle for ${IDLE_SECONDS} s, no engine`, 'MiB', 'processor %'],
      idle.map((one) => [one.name, one.rssMib.toFixed(1), one.percent.toFixed(2)]),
    ),
  );
}
