import type { GoRecipe } from '../compile/recipe.ts';

const CONTAINERD = 'github.com/containerd/containerd/v2';

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
} as const;
