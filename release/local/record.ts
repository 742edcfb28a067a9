import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SmokeResult } from '../../compat-matrix/smoke/smoke.ts';
import type { BuiltImage } from '../../images/build.ts';
import { writeFileAtomic } from '../../images/files.ts';

/** One step of a release: how long it took, and whether its result was there before. */
export interface StepRecord {
  readonly name: string;
  readonly seconds: number;
  readonly cached: boolean;
}

/** dist/release.json, version 1. */
export interface ReleaseRecord {
  readonly schemaVersion: 1;
  readonly images: readonly ImageRecord[];
  readonly steps: readonly StepRecord[];
  readonly smoke: readonly SmokeResult[];
}

export interface ImageRecord {
  readonly name: string;
  readonly kind: 'runner' | 'engine';
  readonly version: string;
  /** Of the image's index. */
  readonly digest: string;
  readonly platforms: readonly string[];
  /** Blob digests of all platforms, in order, each once. */
  readonly layers: readonly string[];
  /** Of the layers as they are stored, and unpacked (as tar). */
  readonly sizeBytes: number;
  readonly unpackedBytes: number;
  readonly reused: boolean;
}

export function imageRecord({ image, kind, reused }: BuiltImage): ImageRecord {
  const layers = new Map(image.platforms.flatMap((p) => p.layers).map((layer) => [layer.digest, layer]));
  const sum = (of: 'sizeBytes' | 'tarBytes') => [...layers.values()].reduce((total, layer) => total + layer[of], 0);
  return {
    name: image.name,
    kind,
    version: image.version,
    digest: image.index.digest,
    platforms: image.platforms.map((p) => p.platform),
    layers: [...layers.keys()],
    sizeBytes: sum('sizeBytes'),
    unpackedBytes: sum('tarBytes'),
    reused,
  };
}

/** Writes `<out>/release.json` and gives its path. */
export function writeReleaseRecord(out: string, record: ReleaseRecord): string {
  mkdirSync(out, { recursive: true });
  const path = join(out, 'release.json');
  writeFileAtomic(path, `${JSON.stringify(record, null, 2)}\n`);
  return path;
}
