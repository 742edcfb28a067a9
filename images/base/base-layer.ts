import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheSection } from '../cache.ts';
import { canonicalJson, digestOf, hexOf } from '../digest.ts';
import { BedplateError } from '../error.ts';
import { unpackDebianPackages } from '../inputs/debian.ts';
import type { LayerEntry } from '../layer/plan.ts';
import type { LockedPackage } from '../lock/schema.ts';

/** The base layer's entries, what an engine may see of them, and the date of its newest input. */
export interface Base {
  readonly entries: readonly LayerEntry[];
  /** Absolute paths, for runner.json's `basePaths`. */
  readonly paths: readonly string[];
  /** Seconds since 1970. */
  readonly epoch: number;
}

const MOUNT_POINTS = ['dev', 'proc', 'run', 'sys', 'tmp', 'root', 'var/lib/bedplate', 'etc/bedplate', 'opt/bedplate'];

const PASSWD = 'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n';
const GROUP = 'root:x:0:\nnogroup:x:65534:\n';
const NSSWITCH = 'passwd: files\ngroup: files\nhosts: files dns\n';
const HOSTS = '127.0.0.1 localhost\n::1 localhost\n';

/**
 * What scratch lacks, shared by every engine and the runner: a CA bundle, passwd and group, name service files, mount points.
 * The packages' maintainer scripts do not run; what `update-ca-certificates` would have made is made here.
 */
export async function baseLayer(packages: readonly LockedPackage[], cache: string): Promise<Base> {
  const tree = join(cacheSection(cache, 'base'), hexOf(digestOf(canonicalJson(packages))));
  await unpackDebianPackages(packages, cache, tree);
  const bundle = caBundle(join(tree, 'usr/share/ca-certificates'));
  const entries: LayerEntry[] = [
    ...MOUNT_POINTS.map(
      (path): LayerEntry => ({ path, type: 'dir', mode: path === 'tmp' ? 0o1777 : path === 'root' ? 0o700 : 0o755 }),
    ),
    { path: 'etc/passwd', type: 'file', content: PASSWD },
    { path: 'etc/group', type: 'file', content: GROUP },
    { path: 'etc/nsswitch.conf', type: 'file', content: NSSWITCH },
    // Mounted over with the host's own; what is here serves where nobody does.
    { path: 'etc/hosts', type: 'file', content: HOSTS },
    { path: 'etc/resolv.conf', type: 'file', content: '' },
    { path: 'etc/ssl/certs/ca-certificates.crt', type: 'file', content: bundle.pem },
  ];
  return { entries, paths: ['/etc/passwd', '/etc/group', '/etc/nsswitch.conf', '/etc/ssl'], epoch: bundle.epoch };
}

/** All certificates in one file, in the order of their names, as update-ca-certificates(8) joins them. */
function caBundle(folder: string): { pem: string; epoch: number } {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.crt'))
    .sort();
  if (files.length === 0) {
    throw new BedplateError(
      'input-mismatch',
      `${folder} has no certificates`,
      'Check debian.base in the config: it needs ca-certificates.',
    );
  }
  const pem = files.map((name) => `${readFileSync(join(folder, name), 'utf8').trimEnd()}\n`).join('');
  const epoch = Math.max(...files.map((name) => Math.floor(statSync(join(folder, name)).mtimeMs / 1000)));
  return { pem, epoch };
}
