import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { requirePassed, type SmokeResult, smokeBuild } from '../../compat-matrix/smoke/smoke.ts';
import { cliPath } from '../../images/build.ts';
import { cacheSection } from '../../images/cache.ts';
import { components, type LockedEngine } from '../../images/components.ts';
import { canonicalJson, digestOf, hexOf } from '../../images/digest.ts';
import { BedplateError } from '../../images/error.ts';
import { unpackDebianPackages } from '../../images/inputs/debian.ts';
import type { Lock } from '../../images/lock/schema.ts';
import { hostPlatform } from '../../images/platform.ts';
import { hostSocket } from '../../images/runner/control.ts';
import { down } from '../../images/runner/down.ts';
import { runnerState } from '../../images/runner/state.ts';
import { requireRoot } from '../../images/runner/up.ts';
import { imageRecord, type ReleaseRecord, writeReleaseRecord } from '../../release/local/record.ts';
import { releaseSummary } from '../../release/local/summary.ts';
import { type Context, makeContext, outFolder } from '../context.ts';
import { giveBack } from '../ownership.ts';
import { makeProgress, type Progress } from '../progress.ts';
import { type BuildFlags, buildAll } from './build.ts';
import { STOP_TIMEOUT_MS } from './down.ts';
import { upRunner } from './up.ts';

interface Flags extends BuildFlags {
  readonly local?: boolean;
}

export function addRelease(program: Command): void {
  program
    .command('release')
    .description('build every image, boot the runner, and build through its engines')
    .option('--local', 'on this machine alone: nothing is published')
    .option('--out <folder>', 'where to put oci/ and release.json (default: dist)')
    .option('--compression <format>', 'zstd or gzip')
    .addHelpText('after', '\nExample: sudo bedplate release --local')
    .action(async (flags: Flags, command: Command) => {
      if (flags.local !== true) {
        throw new BedplateError(
          'usage',
          'release publishes nothing yet: only --local is there',
          'Run ./bedplate release --local.',
        );
      }
      requireRoot('release --local');
      const context = makeContext(command.optsWithGlobals());
      const out = outFolder(flags.out);
      try {
        const record = await releaseLocal(context, flags, out);
        console.log(context.json ? JSON.stringify(record) : `${releaseSummary(record)}\n\n${whatNext(out)}`);
      } finally {
        await giveBack([out, context.cache], process.env);
      }
    });
}

/** Build, boot, one smoke build through the baked engine and one through the oldest, and the record of it all. */
async function releaseLocal(context: Context, flags: BuildFlags, out: string): Promise<ReleaseRecord> {
  const progress = makeProgress({ silent: context.json });
  const { result, lock } = await buildAll(context, flags, progress);
  const smoke = await bootAndSmoke(context, lock, join(out, 'oci'), progress);
  const record: ReleaseRecord = {
    schemaVersion: 1,
    images: result.images.map(imageRecord),
    steps: progress.steps,
    smoke,
  };
  writeReleaseRecord(out, record);
  requirePassed(smoke);
  return record;
}

/** Boots a runner of its own, in a folder that is removed afterwards, so that no other runner on this host is touched. */
async function bootAndSmoke(context: Context, lock: Lock, layout: string, { step }: Progress): Promise<SmokeResult[]> {
  const config = await context.config();
  const platform = hostPlatform();
  const { engines } = components({ root: context.root, config, lock, platform, host: platform });
  const baked = engines.find((engine) => engine.kind.kind === config.runner.bake);
  const older = engines.findLast((engine) => engine.kind.kind === config.runner.bake);
  const chosen = [...new Set([baked, older])].filter((engine) => engine !== undefined);
  const busybox = await smokeShell(lock, context.cache);
  const folder = mkdtempSync(join(tmpdir(), 'bedplate-release-'));
  const state = runnerState(folder);
  try {
    const { answer } = await step('boot', async () => ({
      answer: await upRunner(context, state, {
        layout,
        socketMode: '0600',
      }),
      cached: false,
    }));
    const results: SmokeResult[] = [];
    for (const engine of chosen) {
      const socket = answer.engines.find((e) => e.kind === engine.kind.kind && e.version === engine.version)?.socket;
      if (socket === undefined)
        throw new BedplateError(
          'runner',
          `the runner does not list ${nameOf(engine)}`,
          'See what it lists: ./bedplate status.',
        );
      const buildctl = (await cliPath(engine, 'buildctl', { lock, cache: context.cache })).path;
      const target = {
        engine: nameOf(engine),
        cli: `buildctl ${engine.version}`,
        buildctl,
        socket: hostSocket(state, socket),
      };
      const { smoke } = await step(`smoke build, ${nameOf(engine)}`, async () => ({
        smoke: await smokeBuild(target, busybox, randomBytes(8).toString('hex')),
        cached: false,
      }));
      results.push(smoke);
    }
    return results;
  } finally {
    await step('shut down', async () => ({
      cached: false,
      ...(await down(state, { timeoutMs: STOP_TIMEOUT_MS, now: true })),
    }));
    rmSync(folder, { recursive: true, force: true });
  }
}

function nameOf(engine: LockedEngine): string {
  return `${engine.kind.kind} ${engine.version}`;
}

/** The locked static busybox that smoke builds run. */
export async function smokeShell(lock: Lock, cache: string): Promise<string> {
  const folder = join(cacheSection(cache, 'smoke'), hexOf(digestOf(canonicalJson(lock.debian.smoke))));
  await unpackDebianPackages(lock.debian.smoke, cache, folder);
  const busybox = ['bin/busybox', 'usr/bin/busybox'].map((name) => join(folder, name)).find((path) => existsSync(path));
  if (busybox !== undefined) return busybox;
  throw new BedplateError(
    'input-mismatch',
    `the locked smoke packages have no busybox (${folder})`,
    'Check debian.smoke in the config.',
  );
}

function whatNext(out: string): string {
  return [
    `Everything is in ${out}. Next:`,
    '  ./bedplate up                                                  boot the runner and keep it',
    '  ./bedplate exec --engine 0.13 -- buildctl debug workers        a CLI against any engine it has',
    '  ./bedplate down                                                stop it',
  ].join('\n');
}
