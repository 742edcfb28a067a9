import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../images/process.ts';

/** What the guest's start script needs to know. */
export interface DiskContent {
  readonly busybox: string;
  /** Shell variables, exported. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes the guest's disk: an ext4 file system in a sparse file, with the start script in it. Needs no mount. Gives its path. */
export async function makeDisk({ busybox, environment }: DiskContent, work: string): Promise<string> {
  const folder = join(work, 'disk');
  mkdirSync(folder);
  copyFileSync(busybox, join(folder, 'busybox'));
  copyFileSync(join(import.meta.dirname, 'start.sh'), join(folder, 'start.sh'));
  const lines = Object.entries(environment).map(
    ([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`,
  );
  writeFileSync(join(folder, 'environment'), `${lines.join('\n')}\n`);
  const disk = `${folder}.ext4`;
  await run('mke2fs', ['-q', '-t', 'ext4', '-d', folder, disk, '8G']);
  return disk;
}
