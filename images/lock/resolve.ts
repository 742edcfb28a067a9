import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { maxSatisfying, satisfies, valid } from 'semver';
import type { GoRecipe } from '../compile/recipe.ts';
import type { Config } from '../config.ts';
import { BedplateError } from '../error.ts';
import { resolveDebianPackage } from '../inputs/apt.ts';
import {
  downloadModule,
  goToolchain,
  HOSTS,
  moduleVersions,
  requireGo,
  runGo,
  toolchainVersion,
} from '../inputs/go-toolchain.ts';
import { RUNNER_COMPONENTS } from '../runner/components.ts';
import { configDigest, modulesDigest } from './read.ts';
import type { Lock, LockedComponent, LockedPackage } from './schema.ts';

/** A component that the config asks for, before its version is exact. */
interface Wanted {
  readonly name: string;
  readonly module: string;
  readonly range: string;
  /** Relative to the repo, where the folders of its versions are. */
  readonly parent: string;
  readonly recipe: (version: string, revision: string) => GoRecipe;
}

export interface ResolveOptions {
  readonly root: string;
  readonly config: Config;
  /** The lock as it was: what still fits is kept. */
  readonly previous: Lock | undefined;
  /** Resolve again although the previous lock fits: everything, or what has this name. */
  readonly update: { readonly all: boolean; readonly name?: string };
  readonly onProgress?: (what: string) => void;
}

/** Every name that `lock --update <name>` takes. */
export function lockNames(config: Config): string[] {
  return ['go', 'debian', ...new Set(wantedComponents(config).map((wanted) => wanted.name))];
}

/**
 * Resolves the config's ranges to exact versions and digests, and writes the go.mod and go.sum of each component that is new.
 * What the previous lock has and the config still asks for is kept as it is, unless `update` names it.
 */
export async function resolveLock(options: ResolveOptions): Promise<Lock> {
  const { root, config, previous, update, onProgress } = options;
  if (update.name !== undefined && !lockNames(config).includes(update.name)) {
    throw new BedplateError(
      'usage',
      `lock --update ${update.name}: there is no such input`,
      `One of: ${lockNames(config).join(', ')}.`,
    );
  }
  const renew = (name: string) => update.all || update.name === name;
  await requireGo();
  const go = !renew('go') && previous?.go.version === config.go ? previous.go : await resolveGo(config.go);
  const goCommand = await goToolchain(go.version, go.sums);

  const components: LockedComponent[] = [];
  for (const wanted of wantedComponents(config)) {
    const kept = previous?.components.find((c) => c.name === wanted.name && satisfies(c.version, wanted.range));
    onProgress?.(`${wanted.name} ${wanted.range}`);
    if (kept !== undefined && !renew(wanted.name) && existsSync(join(root, kept.folder, 'go.sum'))) {
      components.push({ ...kept, modulesDigest: modulesDigest(join(root, kept.folder)) });
    } else {
      components.push(await resolveComponent(root, wanted, goCommand, config.go));
    }
  }

  const debian = async (set: keyof Config['debian']): Promise<LockedPackage[]> => {
    const locked: LockedPackage[] = [];
    for (const { name, from } of config.debian[set]) {
      const kept = renew('debian') ? undefined : previous?.debian[set].find((p) => p.name === name);
      onProgress?.(name);
      locked.push(kept ?? (await resolveDebianPackage(name, from)));
    }
    return locked;
  };

  return {
    schemaVersion: 1,
    configDigest: configDigest(config),
    go,
    components: components.filter((c, i) => components.findIndex((o) => o.folder === c.folder) === i),
    debian: { cToolchain: await debian('cToolchain'), base: await debian('base'), smoke: await debian('smoke') },
  };
}

function wantedComponents(config: Config): Wanted[] {
  const engines = config.engines.flatMap(({ kind, versions }) =>
    versions.map((range) => ({
      name: kind.kind,
      module: kind.module,
      range,
      parent: `images/engines/${kind.kind}`,
      recipe: kind.recipe,
    })),
  );
  const runner = Object.entries(RUNNER_COMPONENTS).map(([name, { module, recipe }]) => ({
    name,
    module,
    range: config.runner[name as keyof typeof RUNNER_COMPONENTS],
    parent: `images/runner/${name}`,
    recipe,
  }));
  return [...runner, ...engines];
}

async function resolveGo(version: string): Promise<Lock['go']> {
  const sums: Record<string, string> = {};
  for (const host of HOSTS) {
    const { Sum } = await downloadModule('golang.org/toolchain', toolchainVersion(version, host));
    if (Sum !== undefined) sums[host] = Sum;
  }
  return { version, sums };
}

async function resolveComponent(root: string, wanted: Wanted, go: string, goVersion: string): Promise<LockedComponent> {
  const version = await pickVersion(wanted);
  const module = await downloadModule(wanted.module, `v${version}`);
  if (module.Sum === undefined || module.Info === undefined || module.Dir === undefined) {
    throw new BedplateError(
      'input-missing',
      `${wanted.module} v${version}: the module proxy gave no checksum`,
      'Try again.',
    );
  }
  const info = JSON.parse(readFileSync(module.Info, 'utf8')) as { Time: string };
  const revision = module.Origin?.Hash ?? '';
  const folder = `${wanted.parent}/v${version}`;
  await writeModuleFiles(join(root, folder), wanted, version, revision, go, goVersion, module.Dir);
  return {
    name: wanted.name,
    version,
    module: wanted.module,
    sum: module.Sum,
    revision,
    epoch: Math.floor(Date.parse(info.Time) / 1000),
    folder,
    modulesDigest: modulesDigest(join(root, folder)),
  };
}

/** An exact version is taken at its word: a proxy's list may leave out versions that it serves. */
async function pickVersion({ name, module, range }: Wanted): Promise<string> {
  const exact = valid(range);
  if (exact !== null) return exact;
  const listed = (await moduleVersions(module)).map((v) => v.replace(/^v/, ''));
  const version = maxSatisfying(listed, range);
  if (version !== null) return version;
  throw new BedplateError(
    'not-found',
    `${name}: no released version fits ${range} (${module}; the newest is ${maxSatisfying(listed, '*')})`,
    'Mend the range in bedplate.config.ts.',
  );
}

/** A module that has upstream's programs as tools: its selected versions are then upstream's own. */
async function writeModuleFiles(
  folder: string,
  wanted: Wanted,
  version: string,
  revision: string,
  go: string,
  goVersion: string,
  upstream: string,
): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), 'bedplate-lock-'));
  try {
    const settings = { GOFLAGS: '-mod=mod' };
    await runGo(go, ['mod', 'init', `bedplate.dev/locked/${wanted.name}-${version}`], { cwd: temporary, settings });
    // Run-time defaults as upstream's own go.mod has them, whatever Go compiles it: go.dev/doc/godebug.
    const upstreamGo = /^go (\d+\.\d+)/m.exec(readFileSync(join(upstream, 'go.mod'), 'utf8'))?.[1] ?? '1.21';
    await runGo(go, ['mod', 'edit', `-go=${goVersion}`, `-godebug=default=go${upstreamGo}`], {
      cwd: temporary,
      settings,
    });
    const tools = wanted.recipe(version, revision).packages.map((pkg) => `${pkg}@v${version}`);
    await runGo(go, ['get', '-tool', ...tools], { cwd: temporary, settings });
    mkdirSync(folder, { recursive: true });
    for (const name of ['go.mod', 'go.sum']) cpSync(join(temporary, name), join(folder, name));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
