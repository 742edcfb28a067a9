import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/** A device node, as runtime-spec's linux.devices wants it. */
export interface Device {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What of this host goes into a privileged container. */
export interface Host {
  /** Names such as CAP_SYS_ADMIN: what this process has now, never more. */
  readonly capabilities: readonly string[];
  readonly devices: readonly Device[];
  /** The most open files this process may have. */
  readonly openFiles: number;
  /** The real path of a file of /etc, where there is one. */
  readonly hosts: string | undefined;
  readonly resolvConf: string | undefined;
  /** The folders of Container Device Interface specifications that there are. */
  readonly cdi: readonly string[];
}

export function readHost(): Host {
  return {
    capabilities: currentCapabilities(readFileSync('/proc/self/status', 'utf8')),
    devices: devicesBelow('/dev'),
    openFiles: openFilesLimit(readFileSync('/proc/self/limits', 'utf8')),
    hosts: realFile('/etc/hosts'),
    resolvConf: realFile('/etc/resolv.conf'),
    cdi: ['/etc/cdi', '/var/run/cdi'].filter((folder) => existsSync(folder)),
  };
}

/** The effective and bounded capabilities of /proc/self/status, by name. */
export function currentCapabilities(status: string): string[] {
  const bits = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  const set = bits('CapEff') & bits('CapBnd');
  return CAPABILITIES.filter((_, bit) => (set >> BigInt(bit)) & 1n);
}

export function openFilesLimit(limits: string): number {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === undefined || hard === 'unlimited' ? 1_048_576 : Number(hard);
}

/** Virtual consoles are the host's screen and keyboard: no build needs them, and there are over a hundred. */
const CONSOLE = /^(tty\d+|vcs[au]?\d*)$/;

/** Every device node below a folder but terminals, shared memory and what is not one. */
function devicesBelow(folder: string): Device[] {
  const skipped = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', 'ptmx', '.lxc', '.lxd-mounts', '.udev']);
  const found: Device[] = [];
  for (const name of readdirSync(folder)) {
    if (skipped.has(name) || CONSOLE.test(name)) continue;
    const path = join(folder, name);
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (stat.isDirectory()) found.push(...devicesBelow(path));
    if (!stat.isCharacterDevice() && !stat.isBlockDevice()) continue;
    found.push({
      path,
      type: stat.isCharacterDevice() ? 'c' : 'b',
      // makedev(3) of glibc: 12 bits of major and 8 of minor below 20 bits, the rest above.
      major: Number(((stat.rdev >> 8n) & 0xfffn) | ((stat.rdev >> 32n) & ~0xfffn)),
      minor: Number((stat.rdev & 0xffn) | ((stat.rdev >> 12n) & ~0xffn)),
      fileMode: Number(stat.mode & 0o777n),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
    });
  }
  return found;
}

function realFile(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** By bit: include/uapi/linux/capability.h. */
const CAPABILITIES = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** The id of a group by its name, or by its number. undefined when this host has none of that name. */
export function groupId(name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((row) => row.startsWith(`${name}:`));
  return line === undefined ? undefined : Number(line.split(':')[2]);
}
