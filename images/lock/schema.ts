import { z } from 'zod';

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** One .deb file, by content. */
const debianPackage = z.strictObject({
  name: z.string(),
  version: z.string(),
  architecture: z.string(),
  sha256: digest,
  sizeBytes: z.int().positive(),
});

/** One upstream component, compiled from a go.mod and go.sum of its own in `folder`. */
const goComponent = z.strictObject({
  name: z.string(),
  version: z.string(),
  module: z.string(),
  /** The module zip's checksum as go.sum writes it. */
  sum: z.string().regex(/^h1:/),
  /** The upstream commit, where the module proxy says it; else empty. */
  revision: z.string(),
  /** The upstream commit's date, seconds since 1970: what dates the component's layer. */
  epoch: z.int().positive(),
  /** Relative to the repo. */
  folder: z.string(),
  /** Over go.mod and go.sum: a changed one does not go unnoticed. */
  modulesDigest: digest,
});

export const lockSchema = z.strictObject({
  schemaVersion: z.literal(1),
  /** The digest of the config that this lock was made from. */
  configDigest: digest,
  go: z.strictObject({
    version: z.string(),
    /** The toolchain module's checksum, by the platform it runs on. */
    sums: z.record(z.string(), z.string().regex(/^h1:/)),
  }),
  components: z.array(goComponent),
  debian: z.strictObject({
    cToolchain: z.array(debianPackage),
    base: z.array(debianPackage),
    smoke: z.array(debianPackage),
  }),
});

export type Lock = z.output<typeof lockSchema>;
export type LockedComponent = z.output<typeof goComponent>;
export type LockedPackage = z.output<typeof debianPackage>;
