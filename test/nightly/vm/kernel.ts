import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cacheSection } from '../../../images/cache.ts';
import { hexOf } from '../../../images/digest.ts';
import { BedplateError } from '../../../images/error.ts';
import { makeFolderAtomic } from '../../../images/files.ts';
import { resolveDebianPackage } from '../../../images/inputs/apt.ts';
import { unpackDebianPackages } from '../../../images/inputs/debian.ts';
import type { LockedPackage } from '../../../images/lock/schema.ts';
import { run, tryRun } from '../../../images/process.ts';

/** A kernel to boot, and the modules of it that a guest needs, in an order in which they can be loaded. */
export interface Kernel {
  readonly release: string;
  readonly image: string;
  readonly modules: readonly string[];
}

/** The package that depends on Debian's present kernel: the one for every machine. The one for clouds has no 9p. */
const PRESENT_KERNEL = 'linux-image-amd64';

/** The disk, the host's files, and the file systems that the guest and the runner mount. */
const WANTED = ['virtio_pci', 'virtio_blk', '9pnet_virtio', '9p', 'ext4', 'crc32c_generic', 'overlay'];

/** Brings Debian's present kernel into the cache, by apt, without installing it. */
export async function debianKernel(cache: string, busybox: string): Promise<Kernel> {
  const name = await presentKernel();
  const locked = await resolveDebianPackage(name, 'candidate');
  const release = name.replace('linux-image-', '');
  const folder = join(cacheSection(cache, 'vm'), hexOf(locked.sha256 as `sha256:${string}`));
  await makeFolderAtomic(folder, (temporary) => pick({ locked, release, cache, busybox, folder: temporary }));
  const modules = join(folder, 'modules');
  return {
    release,
    image: join(folder, 'vmlinuz'),
    modules: readdirSync(modules)
      .sort()
      .map((file) => join(modules, file)),
  };
}

async function presentKernel(): Promise<string> {
  const ask = async () =>
    /Depends: (linux-image-\d\S*)/.exec((await tryRun('apt-cache', ['depends', PRESENT_KERNEL])).stdout)?.[1];
  let name = await ask();
  if (name === undefined) {
    await tryRun('apt-get', ['update']);
    name = await ask();
  }
  if (name !== undefined) return name;
  throw new BedplateError(
    'input-missing',
    `apt knows no package ${PRESENT_KERNEL} in the machine's configured sources`,
    'The test boots a Debian kernel: add a Debian source (amd64) that has it.',
  );
}

interface Pick {
  readonly locked: LockedPackage;
  readonly release: string;
  readonly cache: string;
  readonly busybox: string;
  readonly folder: string;
}

/** Unpacked a kernel is 400 MB, of which a guest needs 10. */
async function pick({ locked, release, cache, busybox, folder }: Pick): Promise<void> {
  const all = join(folder, 'all');
  try {
    await unpackDebianPackages([locked], cache, all);
    const tree = join(all, 'lib/modules', release);
    // From Debian 13 on modules are compressed.
    await run('find', [tree, '-name', '*.ko.xz', '-exec', 'xz', '-d', '{}', '+']);
    await run(busybox, ['depmod', '-b', all, release]);
    mkdirSync(join(folder, 'modules'));
    for (const [i, module] of loadOrder(readFileSync(join(tree, 'modules.dep'), 'utf8'), WANTED).entries())
      cpSync(join(tree, module), join(folder, 'modules', `${String(i).padStart(2, '0')}-${basename(module)}`));
    cpSync(join(all, 'boot', `vmlinuz-${release}`), join(folder, 'vmlinuz'));
  } finally {
    await run('rm', ['-rf', all]);
  }
}

/** The modules and all they depend on, each after what it depends on. What is not there is built in. */
export function loadOrder(modulesDep: string, wanted: readonly string[]): string[] {
  const dependencies = new Map(
    modulesDep
      .split('\n')
      .map((line) => line.split(/:\s*/))
      .map(([path = '', rest = '']) => [path, rest.split(' ').filter((word) => word !== '')] as const),
  );
  const order: string[] = [];
  const add = (path: string): void => {
    if (order.includes(path)) return;
    for (const dependency of dependencies.get(path) ?? []) add(dependency);
    order.push(path);
  };
  for (const name of wanted)
    for (const path of dependencies.keys()) if (basename(path, '.ko').replaceAll('-', '_') === name) add(path);
  return order;
}
