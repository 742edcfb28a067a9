import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { BedplateError, messageOf } from './error.ts';

/** Writes a file so that a reader sees the old or the new one, never half of it: a temporary sibling, then a rename. */
export function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = temporarySibling(path);
  try {
    writeFileSync(temporary, data, { mode });
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw cause;
  }
}

/**
 * Makes a folder whole or not at all: `fill` gets a temporary sibling, which is renamed to `path` when it has returned.
 * When somebody else was first, theirs stays. Gives `fill`'s result, or undefined when the folder was there.
 */
export async function makeFolderAtomic<T>(path: string, fill: (folder: string) => Promise<T>): Promise<T | undefined> {
  if (existsSync(path)) return undefined;
  const temporary = temporarySibling(path);
  mkdirSync(temporary, { recursive: true });
  try {
    const result = await fill(temporary);
    try {
      renameSync(temporary, path);
    } catch (cause) {
      if (!existsSync(path)) throw cause;
    }
    return result;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** A name beside `path` that nobody else uses, on the same file system. */
export function temporarySibling(path: string): string {
  return `${path}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`;
}

/** Reads a JSON file. Throws `layout` naming the file when it is missing or not JSON. */
export function readJson(path: string, advice: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new BedplateError('layout', `${path}: ${messageOf(cause)}`, advice, { cause });
  }
}
