/** `npm run ok`: the inner loop, as `./bedplate test --quick` has it. */
import { runAttached } from '../images/process.ts';
import { ROOT } from './context.ts';

process.exitCode = await runAttached(
  process.execPath,
  [`${ROOT}/scripts/cli.ts`, 'test', '--quick'],
  process.env as Record<string, string>,
);
