import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheSection } from '../cache.ts';
import { type Digest, digestOfFile, hexOf } from '../digest.ts';
import { BedplateError } from '../error.ts';
import { makeFolderAtomic, readJson, writeFileAtomic } from '../files.ts';
import { cToolchain } from '../inputs/c-toolchain.ts';
import { goToolchain, requireGo, runGo } from '../inputs/go-toolchain.ts';
import type { Lock } from '../lock/schema.ts';
import { parsePlatform } from '../platform.ts';
import { type CompileInput, inputDigest } from './input.ts';

/** One program that was compiled. */
export interface Program {
  readonly name: string;
  readonly path: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface CompileResult {
  readonly inputDigest: Digest;
  readonly programs: readonly Program[];
  readonly cached: boolean;
}

export interface CompileContext {
  readonly lock: Lock;
  readonly cache: string;
}

/**
 * Compiles one component for one platform to static binaries. The result is kept by the digest of all that decides its bytes;
 * when it is there, no compiler is started. A kept program of the wrong size is thrown away and compiled again.
 */
export async function compile(input: CompileInput, context: CompileContext): Promise<CompileResult> {
  const key = inputDigest(input);
  const folder = join(cacheSection(context.cache, 'compile'), hexOf(key));
  const kept = keptPrograms(folder);
  if (kept !== undefined) return { inputDigest: key, programs: kept, cached: true };
  rmSync(folder, { recursive: true, force: true });
  await makeFolderAtomic(folder, async (temporary) => {
    const programs = await compileInto(input, context, join(temporary, 'bin'));
    writeFileAtomic(join(temporary, 'result.json'), JSON.stringify({ schemaVersion: 1, input, programs }, null, 2));
  });
  const programs = keptPrograms(folder);
  if (programs === undefined) {
    throw new BedplateError(
      'process',
      `${input.name} ${input.version}: compiled, but ${folder} is not whole`,
      'Check the disk, and run the same command again.',
    );
  }
  return { inputDigest: key, programs, cached: false };
}

/** Whether `compile` would find its result. */
export function isCompiled(input: CompileInput, cache: string): boolean {
  return keptPrograms(join(cache, 'compile', hexOf(inputDigest(input)))) !== undefined;
}

function keptPrograms(folder: string): Program[] | undefined {
  if (!existsSync(join(folder, 'result.json'))) return undefined;
  const { programs } = readJson(join(folder, 'result.json'), `Remove ${folder}.`) as {
    programs: Omit<Program, 'path'>[];
  };
  const found = programs.map((program) => ({ ...program, path: join(folder, 'bin', program.name) }));
  return found.every(({ path, sizeBytes }) => existsSync(path) && statSync(path).size === sizeBytes)
    ? found
    : undefined;
}

async function compileInto(
  input: CompileInput,
  { lock, cache }: CompileContext,
  bin: string,
): Promise<Omit<Program, 'path'>[]> {
  await requireGo();
  const go = await goToolchain(lock.go.version, lock.go.sums);
  const { os, architecture } = parsePlatform(input.platform);
  const { recipe } = input;
  const c = recipe.cgo ? await cToolchain(lock.debian.cToolchain, cache) : undefined;
  const settings = {
    GOFLAGS: '-mod=readonly',
    GOOS: os,
    GOARCH: architecture,
    ...(architecture === 'amd64' ? { GOAMD64: 'v1' } : { GOARM64: 'v8.0' }),
    CGO_ENABLED: recipe.cgo ? '1' : '0',
    // By name, first on PATH: a folder's name may have blanks in it, and must not get into any output.
    ...(c === undefined
      ? {}
      : {
          PATH: `${c}:${process.env.PATH}`,
          CC: 'cc',
          PKG_CONFIG: 'pkg-config',
          CGO_CFLAGS: '-O2',
          CGO_LDFLAGS: '-O2',
        }),
  };
  const ldflags = [
    '-s',
    '-w',
    '-buildid=',
    ...recipe.variables.map(([name, value]) => `-X=${name}=${value}`),
    ...(recipe.cgo ? ['-linkmode=external', '-extldflags=-static'] : []),
  ];
  mkdirSync(bin, { recursive: true });
  // `go build` writes a single package to a file of that name, several into a folder.
  const args = [
    'build',
    '-trimpath',
    '-buildvcs=false',
    `-tags=${recipe.tags.join(',')}`,
    `-ldflags=${ldflags.join(' ')}`,
    '-o',
    `${bin}/`,
  ];
  await runGo(go, [...args, ...recipe.packages], { cwd: input.folder, settings });
  const programs: Omit<Program, 'path'>[] = [];
  for (const name of readdirSync(bin).sort()) {
    const path = join(bin, name);
    programs.push({ name, digest: await digestOfFile(path), sizeBytes: statSync(path).size });
  }
  return programs;
}
