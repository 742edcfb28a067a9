import { rcompare } from 'semver';
import { type CompileInput, repoInput, upstreamInput } from './compile/input.ts';
import type { GoRecipe } from './compile/recipe.ts';
import type { Config } from './config.ts';
import type { EngineKind } from './engines/engine.ts';
import { lockedComponent } from './lock/read.ts';
import type { Lock } from './lock/schema.ts';
import { RUNNER_COMPONENTS } from './runner/components.ts';
import { packageVersion } from './versions.ts';

/** One engine version that the lock has. */
export interface LockedEngine {
  readonly kind: EngineKind;
  readonly version: string;
  /** Seconds since 1970: what dates its layer. */
  readonly epoch: number;
  readonly input: CompileInput;
}

/** Everything that is compiled for one platform. */
export interface Components {
  readonly packer: CompileInput;
  readonly bedplated: CompileInput;
  readonly containerd: CompileInput;
  readonly runc: CompileInput;
  readonly cni: CompileInput;
  readonly runnerEpoch: number;
  /** Newest first within a kind. */
  readonly engines: readonly LockedEngine[];
}

const UPSTREAM = Object.keys(RUNNER_COMPONENTS) as (keyof typeof RUNNER_COMPONENTS)[];

const OWN_TAGS = ['osusergo', 'netgo', 'static_build', 'no_btrfs', 'no_devmapper', 'no_zfs'];

function ownRecipe(version: string): GoRecipe {
  return { packages: ['.'], tags: OWN_TAGS, variables: [['main.version', version]], cgo: false };
}

/**
 * What is to be compiled, by lock and repo, for `platform`; the packer runs here, so it is for `host`.
 */
export function components(options: {
  root: string;
  config: Config;
  lock: Lock;
  platform: string;
  host: string;
}): Components {
  const { root, config, lock, platform, host } = options;
  const upstream = (name: keyof typeof RUNNER_COMPONENTS) =>
    upstreamInput(lockedComponent(lock, name), RUNNER_COMPONENTS[name].recipe, { root, lock, platform });
  const engines = config.engines.flatMap(({ kind }) =>
    lock.components
      .filter((c) => c.name === kind.kind)
      .sort((a, b) => rcompare(a.version, b.version))
      .map(
        (c): LockedEngine => ({
          kind,
          version: c.version,
          epoch: c.epoch,
          input: upstreamInput(c, kind.recipe, { root, lock, platform }),
        }),
      ),
  );
  return {
    packer: packerInput({ root, lock, host }),
    bedplated: repoInput(
      'bedplated',
      packageVersion(root, 'images/runner'),
      'images/runner/supervisor',
      ownRecipe(packageVersion(root, 'images/runner')),
      { root, lock, platform },
    ),
    containerd: upstream('containerd'),
    runc: upstream('runc'),
    cni: upstream('cni'),
    runnerEpoch: Math.max(...UPSTREAM.map((name) => lockedComponent(lock, name).epoch)),
    engines,
  };
}

/** The program that packs and unpacks layers; its version is the repo's, so that a release of bedplate alone does not rebuild layers. */
export function packerInput({ root, lock, host }: { root: string; lock: Lock; host: string }): CompileInput {
  return repoInput('bedplate-layer', '1', 'images/layer/tool', ownRecipe('1'), { root, lock, platform: host });
}
