import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { canonicalJson, type Digest, digestOf } from '../digest.ts';
import type { Lock, LockedComponent } from '../lock/schema.ts';
import type { GoRecipe } from './recipe.ts';

/** All that decides the bytes of one component's programs, and where its module is. */
export interface CompileInput {
  readonly name: string;
  readonly version: string;
  readonly platform: string;
  /** Absolute path of the module's folder; not part of the digest. */
  readonly folder: string;
  /** Digest over the module's files: go.mod and go.sum, or a whole source tree of this repo. */
  readonly sources: Digest;
  readonly recipe: GoRecipe;
  /** The Go toolchain's checksums, and for cgo the digests of the C toolchain's packages. */
  readonly toolchain: readonly string[];
}

/** Raised when the way programs are compiled changes without any input changing. */
const COMPILE_METHOD = 1;

export function inputDigest({ folder: _, ...input }: CompileInput): Digest {
  return digestOf(canonicalJson({ method: COMPILE_METHOD, ...input }));
}

/** The input for a component whose source is an upstream module, by its lock entry. */
export function upstreamInput(
  component: LockedComponent,
  recipe: (version: string, revision: string) => GoRecipe,
  options: { root: string; lock: Lock; platform: string },
): CompileInput {
  const made = recipe(component.version, component.revision);
  return {
    name: component.name,
    version: component.version,
    platform: options.platform,
    folder: join(options.root, component.folder),
    sources: component.modulesDigest as Digest,
    recipe: made,
    toolchain: toolchainOf(options.lock, made.cgo),
  };
}

/** The input for a Go program whose source is in this repo. */
export function repoInput(
  name: string,
  version: string,
  folder: string,
  recipe: GoRecipe,
  options: { root: string; lock: Lock; platform: string },
): CompileInput {
  const absolute = join(options.root, folder);
  return {
    name,
    version,
    platform: options.platform,
    folder: absolute,
    sources: treeDigest(absolute),
    recipe,
    toolchain: toolchainOf(options.lock, recipe.cgo),
  };
}

function toolchainOf(lock: Lock, cgo: boolean): string[] {
  // The sums of every host: which of them compiled does not change the bytes, and must not change the digest.
  return [...Object.values(lock.go.sums), ...(cgo ? lock.debian.cToolchain.map((p) => p.sha256) : [])];
}

/** The digest over a Go module's files, by relative path, tests left out. */
function treeDigest(folder: string): Digest {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => !path.endsWith('_test.go') && !path.split('/').includes('testdata'))
    .filter((path) => /\.(go|s|h|c|mod|sum)$/.test(path))
    .sort();
  return digestOf(canonicalJson(files.map((path) => [path, digestOf(readFileSync(join(folder, path)))])));
}
