import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { start } from '../../../images/process.ts';

/** How the guest's instructions are run: by the processor, or translated by qemu, ten to thirty times slower. */
export type Accelerator = 'kvm' | 'tcg';

export interface Machine {
  readonly accelerator: Accelerator;
  /** vmlinuz */
  readonly kernel: string;
  readonly commandLine: string;
  readonly initramfs?: string;
  /** The guest's first disk; what it writes is lost in a crash of this host. */
  readonly disk?: string;
  /** A folder that the guest can mount by 9p, read-only, as `host`. */
  readonly share?: string;
  /** A folder for the logs. */
  readonly work: string;
  readonly timeoutMs: number;
  /** Called with each line that the guest writes to its second serial port, as it comes. */
  readonly onReport?: (line: string) => void;
}

export interface MachineEnd {
  /** How it ended, for people. */
  readonly ending: string;
  readonly timedOut: boolean;
  /** All that the guest's kernel and init wrote. */
  readonly console: string;
}

const MEMORY_MB = 2048;

/** One processor when qemu translates: with two at once (qemu 7.2) one start of Node in fifteen crashed, and it was no faster. */
const ACCELERATION = {
  kvm: ['-accel', 'kvm', '-cpu', 'host', '-smp', '2'],
  tcg: ['-accel', 'tcg,thread=single,tb-size=512', '-cpu', 'max', '-smp', '1'],
} as const;

/** Runs a virtual machine to its end, or kills it when it takes too long. It ends by itself when its kernel panics. */
export async function runMachine(machine: Machine): Promise<MachineEnd> {
  const { work, timeoutMs, onReport } = machine;
  const [consoleLog, reports, own] = ['console.log', 'reports.log', 'qemu.log'].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ];
  const log = openSync(own, 'w');
  // However this process ends, the machine ends with it.
  const command = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...qemuArguments(machine, consoleLog, reports)];
  const qemu = start('setpriv', command, log);
  try {
    const deadline = performance.now() + timeoutMs;
    let exitCode: number | undefined;
    const ended = qemu.ended.then((code) => {
      exitCode = code;
    });
    let seen = 0;
    const readReports = () => {
      const lines = read(reports).split('\n').slice(0, -1);
      for (const line of lines.slice(seen)) onReport?.(line.trim());
      seen = lines.length;
    };
    while (exitCode === undefined && performance.now() < deadline) {
      await Promise.race([ended, sleep(300)]);
      readReports();
    }
    const timedOut = exitCode === undefined;
    if (timedOut) {
      qemu.kill('SIGKILL');
      await ended;
      readReports();
    }
    const ending = timedOut
      ? `it was killed after ${timeoutMs / 1000} s`
      : `qemu ended with exit code ${exitCode}${exitCode === 0 ? '' : `: ${read(own).trim()}`}`;
    return { ending, timedOut, console: read(consoleLog) };
  } finally {
    closeSync(log);
  }
}

function qemuArguments(machine: Machine, consoleLog: string, reports: string): string[] {
  const { accelerator, kernel, commandLine, initramfs, disk, share } = machine;
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...ACCELERATION[accelerator],
    ...['-m', String(MEMORY_MB)],
    ...['-kernel', kernel, '-append', `console=ttyS0 panic=-1 ${commandLine}`],
    ...['-serial', `file:${consoleLog}`, '-serial', `file:${reports}`],
    ...(initramfs === undefined ? [] : ['-initrd', initramfs]),
    ...(disk === undefined ? [] : ['-drive', `if=virtio,format=raw,cache=unsafe,file=${disk}`]),
    ...(share === undefined
      ? []
      : ['-virtfs', `local,path=${share},mount_tag=host,security_model=none,readonly=on,multidevs=remap`]),
  ];
}

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
