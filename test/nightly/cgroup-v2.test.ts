/** The runner on cgroup v2 alone, without IPv6 and iptables, while the clock jumps: in qemu, on Debian's kernel, with this host's files and a disk of its own. */
import { join } from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import { writeFileAtomic } from '../../images/files.ts';
import { run } from '../../images/process.ts';
import { smokeShell } from '../../scripts/commands/release.ts';
import { buildctl, CACHE, ensureBuilt, LOCK, ROOT, removeFolder, temporaryFolder } from '../harness.ts';
import { recordNightly } from './record.ts';
import { accelerator } from './vm/accelerator.ts';
import { type Check, checkNames, type Report } from './vm/checks.ts';
import { makeDisk } from './vm/disk.ts';
import { makeInitramfs } from './vm/initramfs.ts';
import { debianKernel } from './vm/kernel.ts';
import { type Accelerator, type MachineEnd, runMachine } from './vm/qemu.ts';

const versions = LOCK.components.filter((c) => c.name === 'buildkit').map((c) => c.version);
const LIMIT_S = { kvm: 300, tcg: 2400 } as const;
const BOOT_LIMIT_S = 120;

/** What the last guest wrote. */
const CONSOLE = join(ROOT, 'dist/nightly/cgroup-v2.log');

const work = temporaryFolder('cgroup-v2');
const checks = new Map<string, Check>();
let kernel = '';
let guest: { accelerator: Accelerator; seconds: number; end: MachineEnd } | undefined;

const say = (text: string) => process.stderr.write(`cgroup v2: ${text}\n`);

function take(line: string): void {
  const report = JSON.parse(line) as Report;
  if ('kernel' in report) kernel = report.kernel;
  else if ('note' in report) say(`… ${report.note}`);
  else {
    checks.set(report.name, report);
    say(`${report.status} after ${report.seconds} s: ${report.name} ${report.reason}`);
  }
}

beforeAll(async () => {
  await run('sh', [join(ROOT, 'scripts/setup/nightly.sh')]);
  await ensureBuilt();
  const busybox = await smokeShell(LOCK, CACHE);
  for (const version of versions) await buildctl(version);
  const debian = await debianKernel(CACHE, busybox);
  const by = await accelerator(debian.image, work);
  say(`booting Linux ${debian.release} by ${by}`);
  const environment = {
    PATH: process.env.PATH ?? '',
    HOME: '/root',
    TMPDIR: '/vm/tmp',
    BEDPLATE_CACHE: CACHE,
    BEDPLATE_GO: process.env.BEDPLATE_GO ?? 'go',
    ROOT,
    NODE: process.execPath,
    LIMIT: String(LIMIT_S[by]),
    VERSIONS: versions.join(','),
  };
  const start = performance.now();
  const end = await runMachine({
    accelerator: by,
    kernel: debian.image,
    commandLine: 'cgroup_no_v1=all ipv6.disable=1',
    initramfs: await makeInitramfs(debian, busybox, work),
    disk: await makeDisk({ busybox, environment }, work),
    share: '/',
    work,
    timeoutMs: (LIMIT_S[by] + BOOT_LIMIT_S) * 1000,
    onReport: take,
  });
  writeFileAtomic(CONSOLE, end.console);
  guest = { accelerator: by, seconds: Math.round((performance.now() - start) / 1000), end };
});

afterAll(async () => {
  removeFolder(work);
  if (guest === undefined) return;
  const tests = checkNames(versions).map((name) => {
    const { status = 'fail', seconds = 0 } = checks.get(name) ?? {};
    return { name, status, seconds };
  });
  await recordNightly('cgroup-v2', {
    status: tests.every(({ status }) => status === 'pass') ? 'pass' : 'fail',
    seconds: guest.seconds,
    facts: { kernel, accelerator: guest.accelerator },
    tests,
  });
});

test.each(checkNames(versions))('%s', (name) => {
  const { status, reason = `the guest did not come to this: ${guest?.end.ending}` } = checks.get(name) ?? {};
  if (status === 'pass') return;
  const lines = guest?.end.console.trim().split('\n').slice(-12).join('\n');
  throw new Error(`${reason}\nThe guest's last lines (all of them: ${CONSOLE}):\n${lines}`);
});
