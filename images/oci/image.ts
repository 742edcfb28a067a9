import { canonicalJson, type Digest, digestOf } from '../digest.ts';
import type { Layer } from '../layer/pack.ts';
import { parsePlatform } from '../platform.ts';
import { type Descriptor, type ImageConfig, type Index, type Manifest, MEDIA_TYPES } from './types.ts';

/** A blob that is made in memory: configs, manifests, indexes. */
export interface SmallBlob {
  readonly digest: Digest;
  readonly bytes: string;
}

/** One platform's image: its layers in order, and what its config says. */
export interface PlatformImage {
  readonly platform: string;
  readonly layers: readonly { readonly layer: Layer; readonly createdBy: string }[];
  /** Seconds since 1970. */
  readonly epoch: number;
  readonly config: ImageConfig['config'];
}

/** An image over its platforms, ready to be written to a layout. */
export interface Image {
  /** The name in the layout, without its version: `runner`, `engine-buildkit`. */
  readonly name: string;
  readonly version: string;
  readonly index: Descriptor;
  readonly platforms: readonly {
    readonly platform: string;
    readonly manifest: Descriptor;
    readonly layers: readonly Layer[];
  }[];
  readonly smallBlobs: readonly SmallBlob[];
}

/**
 * Makes config, manifest and index of an image. The same input gives the same digests; nothing but images is in the index.
 * @param annotations go on the index and on each manifest (image-spec, annotations.md)
 */
export function assembleImage(
  name: string,
  version: string,
  platforms: readonly PlatformImage[],
  annotations: Readonly<Record<string, string>>,
): Image {
  const smallBlobs: SmallBlob[] = [];
  const blob = (mediaType: string, value: unknown): Descriptor => {
    const bytes = canonicalJson(value);
    const digest = digestOf(bytes);
    smallBlobs.push({ digest, bytes });
    return { mediaType, digest, size: Buffer.byteLength(bytes) };
  };
  const made = [...platforms]
    .sort((a, b) => (a.platform < b.platform ? -1 : 1))
    .map(({ platform, layers, epoch, config }) => {
      const created = isoDate(epoch);
      const { os, architecture } = parsePlatform(platform);
      const image: ImageConfig = {
        created,
        os,
        architecture,
        config,
        rootfs: { type: 'layers', diff_ids: layers.map(({ layer }) => layer.diffId) },
        history: layers.map(({ createdBy }) => ({ created, created_by: createdBy })),
      };
      const manifest: Manifest = {
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.manifest,
        config: blob(MEDIA_TYPES.config, image),
        layers: layers.map(({ layer }) => ({
          mediaType: layer.mediaType,
          digest: layer.digest,
          size: layer.sizeBytes,
        })),
        annotations: { ...annotations, 'org.opencontainers.image.created': created },
      };
      const descriptor = { ...blob(MEDIA_TYPES.manifest, manifest), platform: { os, architecture } };
      return { platform, manifest: descriptor, layers: layers.map(({ layer }) => layer) };
    });
  const index: Index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.index,
    manifests: made.map(({ manifest }) => manifest),
    annotations: {
      ...annotations,
      'org.opencontainers.image.created': isoDate(Math.max(...platforms.map((p) => p.epoch))),
    },
  };
  return { name, version, index: blob(MEDIA_TYPES.index, index), platforms: made, smallBlobs };
}

/** RFC 3339, as annotations.md asks. @param epoch seconds since 1970 */
export function isoDate(epoch: number): string {
  return new Date(epoch * 1000).toISOString().replace('.000Z', 'Z');
}
