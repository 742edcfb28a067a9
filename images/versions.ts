import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A workspace package's version: the one place where changesets raises it. @param folder relative to the repo */
export function packageVersion(root: string, folder: string): string {
  const { version } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as { version: string };
  return version;
}
