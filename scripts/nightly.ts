/** `npm run nightly`: what takes too long for each change. As root. */
import { runAttached } from '../images/process.ts';
import { ROOT } from './context.ts';

const args = [`${ROOT}/node_modules/vitest/vitest.mjs`, 'run', '--project', 'nightly', '--root', ROOT];
process.exitCode = await runAttached(process.execPath, args, process.env as Record<string, string>);
