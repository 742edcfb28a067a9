import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { cacheSection } from '../../images/cache.ts';
import { runAttached, tryRun } from '../../images/process.ts';
import { requireRoot } from '../../images/runner/up.ts';
import { type Context, makeContext } from '../context.ts';
import { type Count, goFuzz, goTests } from '../go-tests.ts';
import { giveBack } from '../ownership.ts';
import { makeProgress } from '../progress.ts';
import { buildAll } from './build.ts';

interface Flags {
  readonly quick?: boolean;
}

/** Of each target; `npm run nightly` takes minutes. */
const FUZZ_SECONDS = 2;

export function addTest(program: Command): void {
  program
    .command('test')
    .description('format, types, lint, import rules, unit tests, Go tests, and the tests that boot')
    .option('--quick', "without the tests that boot, and without Go's race detector")
    .addHelpText('after', '\nExample: sudo bedplate test')
    .action(async (flags: Flags, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      if (flags.quick !== true) requireRoot('test');
      try {
        if (flags.quick !== true) await buildAll(context, {}, makeProgress({ silent: false }));
        const counts = [
          await check(context, 'lint and format', ['node_modules/@biomejs/biome/bin/biome', 'check', '.']),
          await check(context, 'types', ['node_modules/typescript/bin/tsc']),
          await goTests(context, flags.quick !== true),
          ...(flags.quick === true ? [] : [await goFuzz(context, FUZZ_SECONDS)]),
          await vitest(context, flags.quick === true ? ['unit'] : ['unit', 'integration']),
        ];
        const total = counts.reduce((a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed }));
        console.log(`\n${total.passed} passed, ${total.failed} failed`);
        if (total.failed > 0) process.exitCode = 1;
      } finally {
        await giveBack([join(context.root, 'dist'), join(context.root, 'node_modules'), context.cache], process.env);
      }
    });
}

/** A check that passes or fails as a whole. */
async function check(context: Context, name: string, [script = '', ...args]: readonly string[]): Promise<Count> {
  const { exitCode, stdout, stderr } = await tryRun(process.execPath, [join(context.root, script), ...args], {
    cwd: context.root,
  });
  console.log(`${exitCode === 0 ? '✔' : '✖'} ${name}`);
  if (exitCode !== 0) console.log(stdout + stderr);
  return { passed: exitCode === 0 ? 1 : 0, failed: exitCode === 0 ? 0 : 1 };
}

async function vitest(context: Context, projects: readonly string[]): Promise<Count> {
  const folder = mkdtempSync(join(tmpdir(), 'bedplate-test-'));
  const report = join(folder, 'report.json');
  cacheSection(context.cache, '');
  try {
    const args = [
      'run',
      ...projects.flatMap((name) => ['--project', name]),
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ];
    const env = process.env as Record<string, string>;
    const exitCode = await runAttached(
      process.execPath,
      [join(context.root, 'node_modules/vitest/vitest.mjs'), ...args, '--root', context.root],
      env,
    );
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8')) as {
      numPassedTests: number;
      numFailedTests: number;
    };
    // A file that does not load, or an error outside of a test, is a failure that no test counts.
    return { passed: numPassedTests, failed: exitCode === 0 ? numFailedTests : Math.max(1, numFailedTests) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
