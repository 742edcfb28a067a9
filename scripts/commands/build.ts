import type { Command } from 'commander';
import { type BuildResult, build } from '../../images/build.ts';
import { cacheSection } from '../../images/cache.ts';
import { BedplateError } from '../../images/error.ts';
import { checkedLock } from '../../images/lock/read.ts';
import type { Lock } from '../../images/lock/schema.ts';
import { imageRecord, writeReleaseRecord } from '../../release/local/record.ts';
import { releaseSummary } from '../../release/local/summary.ts';
import { type Context, makeContext, outFolder } from '../context.ts';
import { announceCompiles } from '../estimate.ts';
import { giveBack } from '../ownership.ts';
import { makeProgress, type Progress } from '../progress.ts';

export interface BuildFlags {
  readonly out?: string;
  readonly compression?: string;
}

export function addBuild(program: Command): void {
  program
    .command('build')
    .description('compile, layer and bake every image of the config into an OCI image layout')
    .option('--out <folder>', 'where to put oci/ and release.json (default: dist)')
    .option('--compression <format>', 'zstd or gzip (umoci and Docker before 23 need gzip)')
    .addHelpText('after', '\nExample: bedplate build --compression gzip --out dist-gzip')
    .action(async (flags: BuildFlags, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const progress = makeProgress({ silent: context.json });
      const out = outFolder(flags.out);
      try {
        const { result } = await buildAll(context, flags, progress);
        const record = {
          schemaVersion: 1,
          images: result.images.map(imageRecord),
          steps: progress.steps,
          smoke: [],
        } as const;
        const path = writeReleaseRecord(out, record);
        console.log(
          context.json
            ? JSON.stringify(record)
            : `${releaseSummary(record)}\n\nLayout: ${result.layout}\nRecord: ${path}`,
        );
      } finally {
        await giveBack([out, context.cache], process.env);
      }
    });
}

/** Lock check and build, as `build` and `release` share it. */
export async function buildAll(
  context: Context,
  flags: BuildFlags,
  { step }: Progress,
): Promise<{ result: BuildResult; lock: Lock }> {
  const config = await context.config();
  const { lock } = await step('lock check', async () => ({ lock: checkedLock(context.root, config), cached: false }));
  const compression = {
    ...config.compression,
    format: compressionFormat(flags.compression, config.compression.format),
  };
  cacheSection(context.cache, '');
  if (!context.json) announceCompiles(config, lock, context);
  const { root, cache } = context;
  return { result: await build({ root, config, lock, cache, out: outFolder(flags.out), compression, step }), lock };
}

function compressionFormat(flag: string | undefined, configured: 'zstd' | 'gzip'): 'zstd' | 'gzip' {
  if (flag === undefined) return configured;
  if (flag === 'zstd' || flag === 'gzip') return flag;
  throw new BedplateError('usage', `--compression ${flag}: there is no such format here`, 'Give zstd or gzip.');
}
