import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes that a folder's files take on disk, hard links counted once. 0 when it is not there. */
export function diskUsage(folder: string): number {
  const seen = new Set<string>();
  const walk = (path: string): number => {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return 0;
    if (stat.isDirectory()) {
      let names: string[] = [];
      try {
        names = readdirSync(path);
      } catch {
        // Gone, or not ours to read: what can be seen is counted.
      }
      return names.reduce((sum, name) => sum + walk(join(path, name)), stat.blocks * 512);
    }
    if (stat.nlink > 1) {
      const key = `${stat.dev}:${stat.ino}`;
      if (seen.has(key)) return 0;
      seen.add(key);
    }
    return stat.blocks * 512;
  };
  return walk(folder);
}
