import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, digestOfFile, hexOf } from '../digest.ts';
import { BedplateError } from '../error.ts';
import { makeFolderAtomic, temporarySibling } from '../files.ts';
import type { LockedPackage } from '../lock/schema.ts';
import { run } from '../process.ts';
import { downloadDebianPackage } from './apt.ts';

/**
 * Brings locked .deb files into the cache and gives their paths, in order. Each is looked for in the cache, then in the folders of
 * BEDPLATE_INPUTS, then fetched with apt; what was found is checked against the lock's sha256 before it is used.
 * @param cache the cache's folder
 */
export async function fetchDebianPackages(packages: readonly LockedPackage[], cache: string): Promise<string[]> {
  const paths: string[] = [];
  for (const locked of packages) paths.push(await fetchDebianPackage(locked, join(cache, 'debian')));
  return paths;
}

async function fetchDebianPackage(locked: LockedPackage, folder: string): Promise<string> {
  const path = join(folder, `${hexOf(locked.sha256 as Digest)}.deb`);
  if (existsSync(path)) {
    if ((await digestOfFile(path)) === locked.sha256) return path;
    rmSync(path);
  }
  const download = temporarySibling(join(folder, locked.name));
  mkdirSync(download, { recursive: true });
  try {
    const looked = [path];
    for (const source of inputFolders()) {
      const candidate = join(source, fileName(locked));
      looked.push(candidate);
      if (existsSync(candidate)) copyFileSync(candidate, join(download, fileName(locked)));
    }
    let reason: string | undefined;
    if (readdirSync(download).length === 0) {
      looked.push('the apt sources of this machine');
      reason = await downloadDebianPackage(locked, download);
    }
    const found = readdirSync(download)[0];
    if (found === undefined) {
      throw new BedplateError(
        'input-missing',
        `${locked.name} ${locked.version} (${locked.architecture}) is locked but cannot be had: ${reason ?? 'not found'}. Looked in: ${looked.join(', ')}`,
        `Put ${fileName(locked)} into a folder named by BEDPLATE_INPUTS, or run ./bedplate lock --update debian to lock what the mirror has now.`,
      );
    }
    const digest = await digestOfFile(join(download, found));
    if (digest !== locked.sha256) {
      throw new BedplateError(
        'input-mismatch',
        `${found} has other bytes than the lock says: ${digest}, locked is ${locked.sha256}`,
        'Do not use it. If the mirror is right and the lock is old, run ./bedplate lock --update debian.',
      );
    }
    renameSync(join(download, found), path);
    return path;
  } finally {
    rmSync(download, { recursive: true, force: true });
  }
}

/** Unpacks locked packages one over another into a folder of the cache, without running their scripts, and gives its path. */
export async function unpackDebianPackages(
  packages: readonly LockedPackage[],
  cache: string,
  folder: string,
): Promise<string> {
  await makeFolderAtomic(folder, async (temporary) => {
    for (const deb of await fetchDebianPackages(packages, cache)) await run('dpkg-deb', ['-x', deb, temporary]);
  });
  return folder;
}

/** The name apt gives a .deb: the epoch's colon is written %3a. */
function fileName(locked: LockedPackage): string {
  return `${locked.name}_${locked.version.replace(':', '%3a')}_${locked.architecture}.deb`;
}

function inputFolders(): string[] {
  return (process.env.BEDPLATE_INPUTS ?? '').split(':').filter((folder) => folder !== '');
}
