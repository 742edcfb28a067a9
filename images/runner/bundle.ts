import type { ImageConfig } from '../oci/types.ts';
import type { Host } from './host.ts';
import type { HostMount, RunnerState } from './state.ts';

interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/**
 * The runner's container as runtime-spec 1.2 has it (config.json): privileged, in the host's network, with namespaces of its own for
 * processes, mounts, IPC, names and cgroups, and a read-only root. Pure: what is the host's comes in `host`.
 */
export function runtimeSpec(
  state: RunnerState,
  rootfs: string,
  image: ImageConfig,
  host: Host,
  mounts: readonly HostMount[] = [],
): unknown {
  const files: readonly (readonly [string, string | undefined])[] = [
    ['/etc/hosts', host.hosts],
    ['/etc/resolv.conf', host.resolvConf],
  ];
  const capabilities = host.capabilities;
  return {
    ociVersion: '1.2.0',
    hostname: 'bedplate',
    root: { path: rootfs, readonly: true },
    process: {
      user: { uid: 0, gid: 0 },
      args: image.config.Entrypoint,
      env: [...(image.config.Env ?? []), 'HOME=/root'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: host.openFiles, soft: host.openFiles }],
    },
    mounts: [
      mount('proc', '/proc', 'proc', []),
      mount('tmpfs', '/dev', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
      mount('devpts', '/dev/pts', 'devpts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']),
      mount('tmpfs', '/dev/shm', 'shm', ['nosuid', 'nodev', 'mode=1777']),
      mount('mqueue', '/dev/mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev']),
      mount('sysfs', '/sys', 'sysfs', ['nosuid', 'noexec', 'nodev', 'rw']),
      mount('cgroup', '/sys/fs/cgroup', 'cgroup', ['nosuid', 'noexec', 'nodev', 'relatime', 'rw']),
      mount('tmpfs', '/run', 'tmpfs', ['nosuid', 'nodev', 'mode=755']),
      mount('tmpfs', '/tmp', 'tmpfs', ['nosuid', 'nodev', 'mode=1777']),
      bind('/run/bedplate', state.run),
      bind('/var/lib/bedplate', state.data),
      bind('/etc/bedplate', state.etc, 'ro'),
      ...files.flatMap(([path, source]) => (source === undefined ? [] : [bind(path, source, 'ro')])),
      ...host.cdi.map((folder) => bind(folder, folder, 'ro')),
      ...mounts.map(({ source, destination }) => bind(destination, source, 'ro')),
    ],
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'cgroup'].map((type) => ({ type })),
      cgroupsPath: state.cgroupsPath,
      devices: host.devices,
      resources: { devices: [{ allow: true, access: 'rwm' }] },
    },
  };
}

function mount(type: string, destination: string, source: string, options: readonly string[]): Mount {
  return { destination, type, source, options };
}

function bind(destination: string, source: string, access: 'rw' | 'ro' = 'rw'): Mount {
  return { destination, type: 'bind', source, options: ['rbind', access] };
}
