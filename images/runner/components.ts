import type { GoRecipe } from '../compile/recipe.ts';

const CONTAINERD = 'github.com/containerd/containerd/v2';
const CNI = 'github.com/containernetworking/plugins';

/** The upstream programs of the runner, by name: the module, and how it is compiled. */
export const RUNNER_COMPONENTS = {
  containerd: {
    module: CONTAINERD,
    recipe: (version: string, revision: string): GoRecipe => ({
      packages: ['containerd', 'containerd-shim-runc-v2', 'ctr'].map((name) => `${CONTAINERD}/cmd/${name}`),
      tags: ['no_btrfs', 'no_devmapper', 'no_zfs', 'static_build', 'urfave_cli_no_docs'],
      variables: [
        [`${CONTAINERD}/version.Version`, version],
        [`${CONTAINERD}/version.Revision`, revision],
      ],
      cgo: false,
    }),
  },
  runc: {
    module: 'github.com/opencontainers/runc',
    recipe: (_version: string, revision: string): GoRecipe => ({
      packages: ['github.com/opencontainers/runc'],
      tags: ['seccomp', 'netgo', 'osusergo'],
      variables: [['main.gitCommit', revision]],
      cgo: true,
    }),
  },
  /** What engines with the network `bridge` run: no more than a bridge with addresses needs. */
  cni: {
    module: CNI,
    recipe: (version: string): GoRecipe => ({
      packages: ['main/bridge', 'main/loopback', 'ipam/host-local'].map((name) => `${CNI}/plugins/${name}`),
      tags: ['osusergo', 'netgo', 'static_build'],
      variables: [[`${CNI}/pkg/utils/buildversion.BuildVersion`, `v${version}`]],
      cgo: false,
    }),
  },
} as const;
