import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** The user's cache folder: BEDPLATE_CACHE, else XDG_CACHE_HOME/bedplate, else ~/.cache/bedplate. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  return env.BEDPLATE_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'bedplate');
}

/** Removes what killed processes left behind: `<name>.tmp-<pid>-<random>` of a process that is no more. */
export function sweepTemporaries(folder: string, isRunning: (pid: number) => boolean): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const pid = /\.tmp-(\d+)-[0-9a-f]{8}$/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** Whether a process of this id exists on this host. */
export function processRuns(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

/** Free bytes of the file system that has `path`, or its nearest parent that exists. */
export function freeBytes(path: string): number {
  let folder = path;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** A folder below the cache, made when it is not there and free of what killed runs left in it. */
export function cacheSection(cache: string, name: string): string {
  const folder = join(cache, name);
  mkdirSync(folder, { recursive: true });
  sweepTemporaries(folder, processRuns);
  return folder;
}
