/** `npm run nightly [file…]`: what takes too long for each change; the test files named, or all of it. As root. */
import { runAttached } from '../images/process.ts';
import { makeContext, ROOT } from './context.ts';
import { goFuzz } from './go-tests.ts';

/** Of each target. */
const FUZZ_SECONDS = 60;

const files = process.argv.slice(2);
const fuzz = files.length > 0 ? { failed: 0 } : await goFuzz(makeContext({}), FUZZ_SECONDS);
const args = [`${ROOT}/node_modules/vitest/vitest.mjs`, 'run', '--project', 'nightly', '--root', ROOT, ...files];
const tests = await runAttached(process.execPath, args, process.env as Record<string, string>);
process.exitCode = fuzz.failed > 0 ? 1 : tests;
