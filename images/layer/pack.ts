import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheSection } from '../cache.ts';
import { type Digest, hexOf } from '../digest.ts';
import { readJson, temporarySibling, writeFileAtomic } from '../files.ts';
import { run } from '../process.ts';
import { type LayerPlan, planKey } from './plan.ts';

/** A packed layer: its blob, and what image-spec's config and manifest say of it. */
export interface Layer {
  /** Of the uncompressed tar (image-spec, config.md#layer-diffid). */
  readonly diffId: Digest;
  /** Of the blob. */
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly tarBytes: number;
  readonly mediaType: string;
  readonly path: string;
}

export interface PackResult {
  readonly layer: Layer;
  readonly cached: boolean;
}

interface Packed {
  readonly diffId: Digest;
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly tarBytes: number;
}

/**
 * Packs a plan into a layer blob in the cache, or gives the one that is there.
 * @param packer the program (images/layer/tool) and the digest of its inputs
 */
export async function packLayer(
  plan: LayerPlan,
  packer: { readonly path: string; readonly inputDigest: Digest },
  cache: string,
): Promise<PackResult> {
  const record = join(cacheSection(cache, 'layers'), `${hexOf(planKey(plan, packer.inputDigest))}.json`);
  const blobs = cacheSection(cache, 'blobs');
  const kept = existsSync(record) ? (readJson(record, `Remove ${record}.`) as Packed) : undefined;
  if (kept !== undefined) {
    const path = join(blobs, hexOf(kept.digest));
    if (existsSync(path) && statSync(path).size === kept.sizeBytes)
      return { layer: layerAt(kept, plan, path), cached: true };
  }
  const out = temporarySibling(join(blobs, 'layer'));
  try {
    const packed = JSON.parse(
      (await run(packer.path, ['pack', '--out', out], { input: planJson(plan) })).stdout,
    ) as Packed;
    const path = join(blobs, hexOf(packed.digest));
    renameSync(out, path);
    writeFileAtomic(record, JSON.stringify(packed));
    return { layer: layerAt(packed, plan, path), cached: false };
  } finally {
    rmSync(out, { force: true });
  }
}

function layerAt(packed: Packed, plan: LayerPlan, path: string): Layer {
  return { ...packed, mediaType: `application/vnd.oci.image.layer.v1.tar+${plan.compression.format}`, path };
}

/** The plan as `bedplate-layer pack` reads it. */
function planJson({ epoch, compression, entries }: LayerPlan): string {
  return JSON.stringify({
    schemaVersion: 1,
    epoch,
    compression: compression.format,
    level: compression.level,
    frameBytes: compression.frameBytes,
    entries: entries.map((entry) => {
      switch (entry.type) {
        case 'dir':
          return { path: entry.path, type: 'dir', mode: entry.mode ?? 0o755 };
        case 'symlink':
          return entry;
        case 'file':
          return 'source' in entry
            ? { path: entry.path, type: 'file', mode: entry.mode ?? 0o644, source: entry.source }
            : {
                path: entry.path,
                type: 'file',
                mode: entry.mode ?? 0o644,
                content: Buffer.from(entry.content).toString('base64'),
              };
        default:
          return entry satisfies never;
      }
    }),
  });
}
