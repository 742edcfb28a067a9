import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { processRuns, sweepTemporaries } from '../cache.ts';
import { type Digest, digestOfFile, hexOf } from '../digest.ts';
import { BedplateError } from '../error.ts';
import { readJson, temporarySibling, writeFileAtomic } from '../files.ts';
import type { Image } from './image.ts';
import { type Descriptor, type ImageConfig, type Index, type Manifest, MEDIA_TYPES, REF_NAME } from './types.ts';

const REBUILD = 'Run ./bedplate build, which puts back what is missing or broken.';

export function blobPath(layout: string, digest: Digest): string {
  return join(layout, 'blobs', 'sha256', hexOf(digest));
}

/**
 * Writes images into an OCI image layout (image-spec, image-layout.md): blobs first, index.json last, each by a rename, so that a reader
 * never sees half a layout. Blobs that are there already are read and compared by digest, and replaced when they are broken;
 * what no image refers to is removed at the end. Gives the digests of the images that were there before.
 */
export async function writeLayout(layout: string, images: readonly Image[]): Promise<ReadonlySet<Digest>> {
  const folder = join(layout, 'blobs', 'sha256');
  mkdirSync(folder, { recursive: true });
  sweepTemporaries(folder, processRuns);
  const before = new Set(
    existsSync(join(layout, 'index.json'))
      ? images.map((i) => i.index.digest).filter((d) => existsSync(blobPath(layout, d)))
      : [],
  );
  for (const image of images) {
    for (const { layers } of image.platforms)
      for (const layer of layers) await putFile(layout, layer.digest, layer.path);
    for (const { digest, bytes } of image.smallBlobs) {
      const path = blobPath(layout, digest);
      if (!existsSync(path) || (await digestOfFile(path)) !== digest) writeFileAtomic(path, bytes);
    }
  }
  writeIfOther(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const index: Index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.index,
    manifests: images.map((image) => ({ ...image.index, annotations: { [REF_NAME]: refName(image) } })),
  };
  writeIfOther(join(layout, 'index.json'), JSON.stringify(index, null, 2));
  removeUnreferenced(layout, images);
  return before;
}

export function refName({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}:${version}`;
}

async function putFile(layout: string, digest: Digest, source: string): Promise<void> {
  const path = blobPath(layout, digest);
  if (existsSync(path) && (await digestOfFile(path)) === digest) return;
  const temporary = temporarySibling(path);
  try {
    copyFileSync(source, temporary);
    const found = await digestOfFile(temporary);
    if (found !== digest) {
      rmSync(source, { force: true });
      throw new BedplateError(
        'input-mismatch',
        `${source} was broken in the cache (${found}, expected ${digest}); it has been removed`,
        'Run the same command again: it will be made anew.',
      );
    }
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function writeIfOther(path: string, text: string): void {
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileAtomic(path, text);
}

function removeUnreferenced(layout: string, images: readonly Image[]): void {
  const referenced = new Set(
    images.flatMap((image) => [
      ...image.smallBlobs.map(({ digest }) => hexOf(digest)),
      ...image.platforms.flatMap(({ layers }) => layers.map(({ digest }) => hexOf(digest))),
    ]),
  );
  const folder = join(layout, 'blobs', 'sha256');
  for (const name of readdirSync(folder))
    if (!referenced.has(name) && !name.includes('.tmp-')) rmSync(join(folder, name), { force: true });
}

/** An image as a layout has it, for one platform. */
export interface LayoutImage {
  readonly ref: string;
  readonly name: string;
  readonly version: string;
  readonly index: Descriptor;
  readonly manifest: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly configDescriptor: Descriptor;
  readonly config: ImageConfig;
}

/** Reads the images of a layout for one platform. Throws `layout` when it is not one, naming the file. */
export function readLayout(layout: string, platform: string): LayoutImage[] {
  if (!existsSync(join(layout, 'oci-layout'))) {
    throw new BedplateError(
      'layout',
      `${layout} is not an OCI image layout: it has no oci-layout file`,
      'Run ./bedplate build, or name the right folder.',
    );
  }
  const index = readJson(join(layout, 'index.json'), REBUILD) as Index;
  return index.manifests.flatMap((top) => {
    const ref = top.annotations?.[REF_NAME];
    if (ref === undefined) return [];
    const inner = readBlob(layout, top.digest) as Index;
    const manifestDescriptor = inner.manifests.find(
      (m) => `${m.platform?.os}/${m.platform?.architecture}` === platform,
    );
    if (manifestDescriptor === undefined) return [];
    const manifest = readBlob(layout, manifestDescriptor.digest) as Manifest;
    const [name = '', version = ''] = ref.split(':');
    return [
      {
        ref,
        name,
        version,
        index: top,
        manifest: manifestDescriptor,
        layers: manifest.layers,
        configDescriptor: manifest.config,
        config: readBlob(layout, manifest.config.digest) as ImageConfig,
      },
    ];
  });
}

/** Reads every blob of an image and compares its digest. Throws `layout`, naming the blob. */
export async function verifyLayoutImage(layout: string, image: LayoutImage): Promise<void> {
  for (const { digest, size } of [image.index, image.manifest, image.configDescriptor, ...image.layers]) {
    const path = blobPath(layout, digest);
    if (!existsSync(path)) throw new BedplateError('layout', `${image.ref}: ${path} is missing`, REBUILD);
    if (statSync(path).size !== size || (await digestOfFile(path)) !== digest) {
      throw new BedplateError(
        'layout',
        `${image.ref}: ${path} is corrupt: its bytes are not those of its name`,
        REBUILD,
      );
    }
  }
}

function readBlob(layout: string, digest: Digest): unknown {
  return readJson(blobPath(layout, digest), REBUILD);
}
