import { join } from 'node:path';
import { baseLayer } from './base/base-layer.ts';
import { type CompileResult, compile } from './compile/compile.ts';
import type { CompileInput } from './compile/input.ts';
import { components, type LockedEngine } from './components.ts';
import type { Config } from './config.ts';
import type { Digest } from './digest.ts';
import { ENGINE_LABEL, engineEntries, engineJson, programNamed } from './engines/engine-image.ts';
import { type Layer, packLayer } from './layer/pack.ts';
import { type Compression, type LayerEntry, layerPlan } from './layer/plan.ts';
import type { Lock } from './lock/schema.ts';
import { annotations } from './oci/annotations.ts';
import { assembleImage, type Image, type PlatformImage } from './oci/image.ts';
import { writeLayout } from './oci/layout.ts';
import { hostPlatform } from './platform.ts';
import { RUNNER_BIN, runnerEntries } from './runner/runner-image.ts';
import { packageVersion } from './versions.ts';

/** Runs one step and tells whoever watches: a name, how long it took, whether its result was there before. */
export type StepRunner = <T extends { readonly cached: boolean }>(name: string, work: () => Promise<T>) => Promise<T>;

export interface BuildOptions {
  readonly root: string;
  readonly config: Config;
  readonly lock: Lock;
  readonly cache: string;
  /** The folder that gets `oci/`. */
  readonly out: string;
  readonly compression: Compression;
  readonly step: StepRunner;
}

/** An image that was built. */
export interface BuiltImage {
  readonly image: Image;
  readonly kind: 'runner' | 'engine';
  /** Whether the layout had this very image before. */
  readonly reused: boolean;
}

export interface BuildResult {
  readonly layout: string;
  /** The runner first, then the engines, newest first. */
  readonly images: readonly BuiltImage[];
}

/** lock → compile → layer → image → bake: builds every image of the config into `<out>/oci`. */
export async function build(options: BuildOptions): Promise<BuildResult> {
  const { root, config, out, step } = options;
  const perPlatform: PlatformResult[] = [];
  for (const platform of config.platforms) perPlatform.push(await buildPlatform(options, platform));
  const layout = join(out, 'oci');
  const runnerVersion = packageVersion(root, 'images/runner');
  const engines = perPlatform[0]?.engines ?? [];
  const images = [
    assembleImage(
      'runner',
      runnerVersion,
      perPlatform.map((p) => p.runner),
      annotations(root, {
        title: 'bedplate runner',
        version: runnerVersion,
        description: 'Long-lived supervisor with containerd, runc and the newest engine baked in',
      }),
    ),
    ...engines.map(({ engine }, i) =>
      assembleImage(
        `engine-${engine.kind.kind}`,
        engine.version,
        perPlatform.flatMap((p) => p.engines[i]?.image ?? []),
        annotations(root, {
          title: `bedplate engine ${engine.kind.kind}`,
          version: engine.version,
          description: `${engine.kind.kind} ${engine.version}, started on demand by a bedplate runner`,
        }),
      ),
    ),
  ];
  const { before } = await step('layout', async () => {
    const found = await writeLayout(layout, images);
    return { cached: images.every((image) => found.has(image.index.digest)), before: found };
  });
  return {
    layout,
    images: images.map((image, i) => ({
      image,
      kind: i === 0 ? 'runner' : 'engine',
      reused: before.has(image.index.digest),
    })),
  };
}

interface PlatformResult {
  readonly runner: PlatformImage;
  readonly engines: readonly { readonly engine: LockedEngine; readonly image: PlatformImage }[];
}

async function buildPlatform(options: BuildOptions, platform: string): Promise<PlatformResult> {
  const { root, config, lock, cache, compression, step } = options;
  const parts = components({ root, config, lock, platform, host: hostPlatform() });
  const compiled = (input: CompileInput) =>
    step(`compile ${input.name} ${input.version} (${input.platform})`, () => compile(input, { lock, cache }));
  const packer = await compiled(parts.packer);
  const tool = { path: packer.programs[0]?.path ?? '', inputDigest: packer.inputDigest };
  const pack = async (name: string, entries: readonly LayerEntry[], epoch: number): Promise<Layer> =>
    (await step(`layer ${name} (${platform})`, () => packLayer(layerPlan(entries, epoch, compression), tool, cache)))
      .layer;

  const base = await baseLayer(lock.debian.base, cache);
  const baseBlob = { layer: await pack('base', base.entries, base.epoch), createdBy: 'bedplate base layer' };

  const engines: { engine: LockedEngine; layer: Layer; image: PlatformImage }[] = [];
  for (const engine of parts.engines) {
    const { kind, version, epoch } = engine;
    const layer = await pack(
      `${kind.kind} ${version}`,
      engineEntries(kind, version, await compiled(engine.input)),
      epoch,
    );
    const label = { [ENGINE_LABEL]: engineJson(kind, version) };
    const labels = annotations(root, {
      title: `bedplate engine ${kind.kind}`,
      version,
      description: `${kind.kind} ${version}`,
    });
    const image = {
      platform,
      epoch,
      layers: [baseBlob, { layer, createdBy: `bedplate engine ${kind.kind} ${version}` }],
      config: { Entrypoint: kind.startContract(version).args.slice(0, 1), Labels: { ...labels, ...label } },
    };
    engines.push({ engine, layer, image });
  }

  const baked = engines.find(({ engine }) => engine.kind.kind === config.runner.bake);
  if (baked === undefined) throw new TypeError('parseConfig lets no runner.bake through that has no engine');
  const version = packageVersion(root, 'images/runner');
  const own = [await compiled(parts.bedplated), await compiled(parts.containerd), await compiled(parts.runc)];
  const plugins = await compiled(parts.cni);
  const bakedName = `${baked.engine.kind.kind}/${baked.engine.version}`;
  const runnerLayer = await pack(
    'runner',
    runnerEntries(own, plugins, { version, default: bakedName, basePaths: base.paths }),
    parts.runnerEpoch,
  );
  return {
    runner: {
      platform,
      epoch: Math.max(parts.runnerEpoch, baked.engine.epoch),
      layers: [
        baseBlob,
        { layer: runnerLayer, createdBy: `bedplate runner ${version}` },
        { layer: baked.layer, createdBy: `bedplate engine ${bakedName}` },
      ],
      config: {
        Entrypoint: [`${RUNNER_BIN}/bedplated`],
        Env: [`PATH=${RUNNER_BIN}`],
        Labels: annotations(root, {
          title: 'bedplate runner',
          version,
          description: `bedplate runner with ${bakedName} baked in`,
        }),
        Volumes: { '/var/lib/bedplate': {} },
        StopSignal: 'SIGTERM',
      },
    },
    engines,
  };
}

/** The path of a command line client of a locked engine version, compiled when it is not there. */
export async function cliPath(
  engine: LockedEngine,
  program: string,
  options: { lock: Lock; cache: string },
): Promise<{ path: string; digest: Digest }> {
  const result: CompileResult = await compile(engine.input, options);
  const { path, digest } = programNamed(result, program);
  return { path, digest };
}
