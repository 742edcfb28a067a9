import { canonicalJson, type Digest, digestOf } from '../digest.ts';
import { BedplateError } from '../error.ts';

/** One entry of a layer, before it is packed. Paths are relative, without a leading slash. Owner is root. */
export type LayerEntry =
  | { readonly path: string; readonly type: 'dir'; readonly mode?: number }
  | { readonly path: string; readonly type: 'symlink'; readonly target: string }
  | { readonly path: string; readonly type: 'file'; readonly mode?: number; readonly content: string }
  /** A file of this machine; `digest` is of its bytes, so that a plan's key needs no reading. */
  | {
      readonly path: string;
      readonly type: 'file';
      readonly mode?: number;
      readonly source: string;
      readonly digest: Digest;
    };

/** How a layer is compressed; a part of what decides its digest. */
export interface Compression {
  readonly format: 'zstd' | 'gzip';
  readonly level: number;
  readonly frameBytes: number;
}

/** A whole layer: entries sorted by path, each folder before what is in it, all dated `epoch` (seconds since 1970). */
export interface LayerPlan {
  readonly epoch: number;
  readonly compression: Compression;
  readonly entries: readonly LayerEntry[];
}

/** Sorts entries by the bytes of their paths and adds the folders that are not listed (mode 0755). Throws on a path given twice. */
export function layerPlan(entries: readonly LayerEntry[], epoch: number, compression: Compression): LayerPlan {
  const all = new Map<string, LayerEntry>();
  for (const entry of entries) {
    if (all.has(entry.path)) {
      throw new BedplateError(
        'layout',
        `layer: ${entry.path} is given twice`,
        'Leave one of them out of the image definition.',
      );
    }
    all.set(entry.path, entry);
  }
  for (const { path } of entries) {
    const parts = path.split('/');
    for (let n = 1; n < parts.length; n++) {
      const folder = parts.slice(0, n).join('/');
      if (!all.has(folder)) all.set(folder, { path: folder, type: 'dir' });
    }
  }
  const sorted = [...all.values()].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  return { epoch, compression, entries: sorted };
}

/**
 * The key under which a packed layer is remembered: everything in the plan but where files lie on this machine.
 * @param packer digest of the inputs of the program that packs
 */
export function planKey(plan: LayerPlan, packer: Digest): Digest {
  const entries = plan.entries.map((entry) => ('source' in entry ? { ...entry, source: undefined } : entry));
  return digestOf(canonicalJson({ packer, ...plan, entries }));
}
