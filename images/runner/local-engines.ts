import { copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hexOf } from '../digest.ts';
import { writeFileAtomic } from '../files.ts';
import { blobPath, type LayoutImage } from '../oci/layout.ts';
import { type Index, MEDIA_TYPES, REF_NAME } from '../oci/types.ts';
import type { RunnerState } from './state.ts';

/**
 * Gives the runner its own layout of the engine images that are not baked: blobs are hard links where the file system allows,
 * copies elsewhere. What is no longer among them is removed.
 * @param images verified before
 */
export function placeLocalEngines(state: RunnerState, layout: string, images: readonly LayoutImage[]): void {
  const target = join(state.data, 'local');
  const wanted = new Set<string>();
  for (const image of images) {
    for (const { digest } of [image.index, image.manifest, image.configDescriptor, ...image.layers]) {
      wanted.add(hexOf(digest));
      linkOrCopy(blobPath(layout, digest), blobPath(target, digest));
    }
  }
  const index: Index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.index,
    manifests: images.map((image) => ({ ...image.index, annotations: { [REF_NAME]: image.ref } })),
  };
  writeFileAtomic(join(target, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileAtomic(join(target, 'index.json'), JSON.stringify(index));
  const blobs = join(target, 'blobs', 'sha256');
  if (existsSync(blobs)) for (const name of readdirSync(blobs)) if (!wanted.has(name)) rmSync(join(blobs, name));
}

/** Always anew: a blob of an earlier run may have been broken since. */
function linkOrCopy(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  rmSync(target, { force: true });
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target);
  }
}
