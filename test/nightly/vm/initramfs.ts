import { copyFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run } from '../../../images/process.ts';
import type { Kernel } from './kernel.ts';

/** Packs busybox, the kernel's modules and init.sh as an initramfs. Gives its path. */
export async function makeInitramfs(kernel: Kernel, busybox: string, work: string): Promise<string> {
  const folder = join(work, 'initramfs');
  for (const name of ['bin', 'modules']) mkdirSync(join(folder, name), { recursive: true });
  copyFileSync(busybox, join(folder, 'bin/busybox'));
  copyFileSync(join(import.meta.dirname, 'init.sh'), join(folder, 'init'));
  for (const module of kernel.modules) copyFileSync(module, join(folder, 'modules', basename(module)));
  const packed = `${folder}.cpio`;
  const script = 'cd "$1" && chmod 755 init bin/busybox && find . | "$2" cpio -o -H newc > "$3"';
  await run('sh', ['-c', script, 'sh', folder, busybox, packed]);
  return packed;
}
