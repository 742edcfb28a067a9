/** One thing that was tried in the guest. */
export interface Check {
  readonly name: string;
  readonly status: 'pass' | 'fail';
  readonly seconds: number;
  /** Why it failed; empty when it passed. */
  readonly reason: string;
}

/** What the guest writes, one JSON value a line. */
export type Report = { readonly kernel: string } | Check | { readonly note: string };

export const CGROUP_V2_ONLY = 'no cgroup v1 is mounted, and v2 has the controllers';
export const BARE_NETWORK = 'the kernel has no IPv6, the host no iptables and no nft';
export const CLOCK = 'the clock jumps an hour forth and back under a build: it passes, and the next';
export const BOOTS = 'the runner boots';
export const NOTHING_LEFT = 'after down no process, mount, cgroup or socket is left';
export const smokeName = (version: string) => `smoke build with engine ${version}`;
export const cgroupsName = (version: string) => `engine ${version} and its RUN are in cgroups of their own`;
export const buildName = (version: string) => `a RUN of engine ${version} starts`;
export const killedName = (version: string) => `containerd killed: the RUN of engine ${version} ends, and its build`;
export const stopName = (version: string) => `engine ${version} stopped in the middle of a build leaves no cgroup`;

/** Every check of a run, in order. */
export function checkNames(versions: readonly string[]): string[] {
  return [
    CGROUP_V2_ONLY,
    BARE_NETWORK,
    BOOTS,
    ...versions.flatMap((version) =>
      [smokeName, buildName, cgroupsName, stopName, killedName].map((name) => name(version)),
    ),
    CLOCK,
    NOTHING_LEFT,
  ];
}
