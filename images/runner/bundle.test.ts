import { expect, test } from 'vitest';
import { runtimeSpec } from './bundle.ts';
import { checkSocketPaths } from './socket-path.ts';
import { runnerState, stateFolder } from './state.ts';

const host = {
  capabilities: ['CAP_SYS_ADMIN'],
  devices: [],
  openFiles: 1024,
  hosts: '/etc/hosts',
  resolvConf: undefined,
  cdi: ['/etc/cdi'],
};
const image = {
  created: '',
  os: 'linux',
  architecture: 'amd64',
  rootfs: { type: 'layers', diff_ids: [] },
  history: [],
} as const;

test('the container asks for the capabilities this process has, a read-only root, and a cgroup of its own', () => {
  const state = runnerState('/srv/a');
  const spec = runtimeSpec(
    state,
    '/rootfs',
    { ...image, config: { Entrypoint: ['/init'], Env: ['PATH=/bin'] } },
    host,
  ) as {
    root: unknown;
    process: { args: string[]; capabilities: Record<string, string[]> };
    mounts: { destination: string; source: string }[];
    linux: { cgroupsPath: string; namespaces: { type: string }[] };
  };
  expect(spec.root).toEqual({ path: '/rootfs', readonly: true });
  expect(spec.process.capabilities.bounding).toEqual(['CAP_SYS_ADMIN']);
  expect(spec.mounts.find((m) => m.destination === '/run/bedplate')?.source).toBe('/srv/a/run');
  expect(spec.mounts.some((m) => m.destination === '/etc/resolv.conf')).toBe(false);
  expect(spec.mounts.find((m) => m.destination === '/etc/cdi')?.source).toBe('/etc/cdi');
  expect(spec.linux.namespaces.map((n) => n.type)).not.toContain('network');
  expect(spec.linux.cgroupsPath).not.toBe(runnerState('/srv/b').cgroupsPath);
});

test('a socket path over 107 bytes is refused with its length and by how much', () => {
  const fits = `/${'x'.repeat(107 - '/run/buildkit/0.34.2.sock'.length - 1)}`;
  expect(() => checkSocketPaths(runnerState(fits), ['buildkit/0.34.2'])).not.toThrow();
  expect(() => checkSocketPaths(runnerState(`${fits}x`), ['buildkit/0.34.2'])).toThrow('has 108 bytes');
});

test('a runner is named by its folder or by its control socket', () => {
  expect(stateFolder(undefined)).toBe('/var/lib/bedplate');
  expect(stateFolder('/srv/a')).toBe('/srv/a');
  expect(stateFolder('unix:///srv/a/run/control.sock')).toBe('/srv/a');
  expect(() => stateFolder('tcp://host:1')).toThrow('does not name a runner');
});
