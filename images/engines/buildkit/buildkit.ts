import { gte, major, minor } from 'semver';
import { type EngineKind, enginePrefix, type StartContract } from '../engine.ts';

const MODULE = 'github.com/moby/buildkit';

/** Upstream BuildKit: buildkitd with its containerd worker, and buildctl. Versions from 0.12. */
export const buildkit: EngineKind = {
  kind: 'buildkit',
  module: MODULE,
  daemon: 'buildkitd',
  clis: ['buildctl'],
  hostVariable: 'BUILDKIT_HOST',
  recipe: (version, revision) => ({
    packages: [`${MODULE}/cmd/buildkitd`, `${MODULE}/cmd/buildctl`],
    tags: ['osusergo', 'netgo', 'static_build'],
    variables: [
      [`${MODULE}/version.Version`, `v${version}`],
      [`${MODULE}/version.Revision`, revision],
    ],
    cgo: false,
  }),
  startContract,
};

/**
 * State is shared by the patches of one minor, and by nothing else: upgrades in place broke at 0.9.3→0.10.3 and 0.12.1→0.13.0, the metadata
 * of the first versions is migrated by none after 0.27.1, and no version promises to read what a later one wrote.
 */
function stateLine(version: string): string {
  return `${major(version)}.${minor(version)}`;
}

/**
 * What buildkitd's own garbage collector may keep. Without it each daemon takes its part of the whole disk, whoever else is on it.
 * Keys: cmd/buildkitd/config/config.go; those of before 0.17 know no free space.
 */
function collectorDefaults(version: string): string {
  const limits = gte(version, '0.17.0')
    ? 'maxUsedSpace = "${cacheBytes}"\n  minFreeSpace = "${freeBytes}"'
    : 'gckeepstorage = "${cacheBytes}"';
  return `[worker.containerd]\n  gc = true\n  ${limits}\n`;
}

/** Mode `bridge` of its own is younger than 0.12, has IPv4 only, and its daemons would share one bridge. */
const NETWORKS = {
  host: { 'buildkitd.toml': '[worker.containerd]\n  networkMode = "host"\n' },
  bridge: {
    'buildkitd.toml':
      '[worker.containerd]\n  networkMode = "cni"\n  cniConfigPath = "${networkConfig}"\n  cniBinaryPath = "${networkPlugins}"\n',
  },
};

/** Mounts, ownership and nodes of layers, chroot for file operations, namespaces and networks of RUN steps. */
const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_MKNOD',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_ADMIN',
  'CAP_SYS_CHROOT',
];

/** Flags: cmd/buildkitd/main.go and main_containerd_worker.go of the version in question. */
function startContract(version: string): StartContract {
  const prefix = enginePrefix('buildkit', version);
  return {
    schemaVersion: 1,
    kind: 'buildkit',
    version,
    stateLine: stateLine(version),
    args: [
      `${prefix}/bin/buildkitd`,
      '--config=${run}/buildkitd.toml',
      '--addr=unix://${socket}',
      '--root=${state}',
      '--oci-worker=false',
      '--containerd-worker=true',
      '--containerd-worker-addr=${containerdSocket}',
      '--containerd-worker-namespace=${namespace}',
      '--containerd-worker-snapshotter=overlayfs',
      // Before 0.13 this socket sat below --root and had no flag.
      ...(gte(version, '0.13.0') ? ['--otel-socket-path=${run}/otel-grpc.sock'] : []),
    ],
    env: [`PATH=${prefix}/bin:/usr/bin:/bin`],
    // What RUN steps start is below this cgroup: so it ends when the engine does. There is no flag for it.
    files: { 'buildkitd.toml': '[worker.containerd]\n  defaultCgroupParent = "${cgroup}"\n' },
    defaults: { 'buildkitd.toml': collectorDefaults(version) },
    networks: NETWORKS,
    capabilities: CAPABILITIES,
    protocol: 'grpc',
    stopSignal: 'SIGTERM',
    startTimeoutMs: 60_000,
    stopTimeoutMs: 30_000,
  };
}
