import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, digestOf, hexOf } from '../digest.ts';
import { makeFolderAtomic } from '../files.ts';
import type { LockedPackage } from '../lock/schema.ts';
import { run } from '../process.ts';
import { fetchDebianPackages } from './debian.ts';

/** The C library's own files must come from the machine that runs the compiler, all else from the packages. */
const C_LIBRARY = new Set(['libc6', 'libgcc-s1']);
const LIBRARY_FOLDERS = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'];

/**
 * Gives a folder that has `cc` and `pkg-config` of the locked C toolchain, unpacked from its .deb files into the cache: what the machine has installed decides nothing.
 * `cc` is a script that calls gcc with its own sysroot, and `pkg-config` answers for libseccomp, the one library that is asked for.
 * gcc finds its parts relative to itself; the shared libraries it needs come from `host-lib`, but for the C library.
 */
export async function cToolchain(packages: readonly LockedPackage[], cache: string): Promise<string> {
  const key = digestOf(canonicalJson({ layout: 1, packages }));
  const folder = join(cache, 'c-toolchain', hexOf(key));
  await makeFolderAtomic(folder, async (temporary) => {
    const sysroot = join(temporary, 'sysroot');
    const paths = await fetchDebianPackages(packages, cache);
    const unpack = async (inLibrary: boolean) => {
      for (const [i, locked] of packages.entries()) {
        if (C_LIBRARY.has(locked.name) === inLibrary) await run('dpkg-deb', ['-x', paths[i] ?? '', sysroot]);
      }
    };
    await unpack(false);
    mkdirSync(join(temporary, 'host-lib'));
    for (const lib of LIBRARY_FOLDERS) {
      for (const name of listFolder(join(sysroot, lib)).filter((file) => /\.so(\.|$)/.test(file))) {
        if (lib.startsWith('lib/') || !name.endsWith('.so') || /-\d/.test(name)) {
          symlinkSync(join('..', 'sysroot', lib, name), join(temporary, 'host-lib', name));
        }
      }
    }
    await unpack(true);
    writeFileSync(join(temporary, 'cc'), CC, { mode: 0o755 });
    writeFileSync(join(temporary, 'pkg-config'), PKG_CONFIG, { mode: 0o755 });
  });
  return folder;
}

const CC = `#!/bin/sh
# gcc of the locked packages, with nothing of the machine's own headers or libraries.
d=\${0%/*}
LD_LIBRARY_PATH=$d/host-lib exec "$d/sysroot/usr/bin/x86_64-linux-gnu-gcc-12" --sysroot="$d/sysroot" -B"$d/sysroot/usr/bin/" "$@"
`;

const PKG_CONFIG = `#!/bin/sh
case "$*" in
*--libs*libseccomp*) echo -lseccomp ;;
*--cflags*libseccomp*) echo ;;
*) echo "pkg-config: only libseccomp is locked, asked for: $*" >&2; exit 1 ;;
esac
`;

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
