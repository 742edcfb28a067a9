import { readFileSync } from 'node:fs';
import { validRange } from 'semver';
import { z } from 'zod';
import type { EngineKind } from './engines/engine.ts';
import { BedplateError, messageOf } from './error.ts';

/** A version range of npm's semver: `0.34` is the newest 0.34.x, `0.29.0` exactly that one. */
const range = z.string().refine((text) => validRange(text) !== null && text.trim() !== '', {
  error: (issue) => `not a version range: ${JSON.stringify(issue.input)} (examples: "0.34", "0.29.0", "~0.16.0")`,
});

const platform = z.string().regex(/^linux\/(amd64|arm64)$/, { error: 'not a platform: linux/amd64 or linux/arm64' });

const engineKind = z.custom<EngineKind>(
  (value) => typeof value === 'object' && value !== null && 'kind' in value && 'startContract' in value,
  { error: 'not an engine kind: import one, such as buildkit from ./images/engines/buildkit/buildkit.ts' },
);

const aptPackage = z.strictObject({
  name: z.string().min(1),
  /** `candidate`: what apt would install. `release`: the release suite's own, which does not vanish with the next security update. */
  from: z.enum(['candidate', 'release']).default('candidate'),
});

const schema = z.strictObject({
  platforms: z.array(platform).min(1),
  go: z.string().regex(/^1\.\d+\.\d+$/, { error: 'not an exact Go version (example: "1.26.8")' }),
  compression: z.strictObject({
    format: z.enum(['zstd', 'gzip']),
    level: z.int().min(1).max(9),
    frameBytes: z.int().min(65536),
  }),
  /** Locked .deb files, by what they are for. */
  debian: z.strictObject({
    cToolchain: z.array(aptPackage).min(1),
    base: z.array(aptPackage).min(1),
    smoke: z.array(aptPackage).min(1),
  }),
  runner: z.strictObject({
    containerd: range,
    runc: range,
    /** containernetworking's plugins. */
    cni: range,
    /** The engine that is baked in, as `<kind>`: the newest of that kind. */
    bake: z.string(),
  }),
  engines: z.array(z.strictObject({ kind: engineKind, versions: z.array(range).min(1) })).min(1),
});

export type Config = z.output<typeof schema>;
export type ConfigInput = z.input<typeof schema>;

/** Types a config file; the checking is done when it is loaded, so that errors can point at the field. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}

/**
 * Checks a config. Throws `config` with one line a problem, each naming the field.
 * @param source the file's name, for messages
 */
export function parseConfig(input: unknown, source: string): Config {
  const parsed = schema.safeParse(input);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${fieldName(issue.path)}: ${issue.message}`);
    throw new BedplateError('config', `${source} is not a valid config:\n${lines.join('\n')}`, `Mend it in ${source}.`);
  }
  const kinds = parsed.data.engines.map((engine) => engine.kind.kind);
  if (!kinds.includes(parsed.data.runner.bake)) {
    throw new BedplateError(
      'config',
      `${source} is not a valid config:\n  runner.bake: no engine of kind ${JSON.stringify(parsed.data.runner.bake)} (there is: ${kinds.join(', ')})`,
      `Mend it in ${source}.`,
    );
  }
  return parsed.data;
}

/** Loads and checks a config file. @param path absolute */
export async function loadConfig(path: string, source: string): Promise<Config> {
  try {
    readFileSync(path);
  } catch (cause) {
    throw new BedplateError(
      'config',
      `${source}: ${messageOf(cause)}`,
      'Run this in a folder that has one, or give --config.',
      { cause },
    );
  }
  let module: { default?: unknown };
  try {
    module = (await import(path)) as { default?: unknown };
  } catch (cause) {
    throw new BedplateError('config', `${source} does not load: ${messageOf(cause)}`, `Mend it in ${source}.`, {
      cause,
    });
  }
  return parseConfig(module.default, source);
}

/** What of a config decides bytes, as a plain value: engine kinds by name. Its digest is in the lock. */
export function configValue(config: Config): unknown {
  return { ...config, engines: config.engines.map(({ kind, versions }) => ({ kind: kind.kind, versions })) };
}

function fieldName(path: readonly PropertyKey[]): string {
  return (
    path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i === 0 ? '' : '.'}${String(key)}`)).join('') ||
    '(top level)'
  );
}
