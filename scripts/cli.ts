import { Command, CommanderError } from 'commander';
import { BedplateError, messageOf } from '../images/error.ts';
import { packageVersion } from '../images/versions.ts';
import { addBuild } from './commands/build.ts';
import { addCerts } from './commands/certs.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDown } from './commands/down.ts';
import { addExec } from './commands/exec.ts';
import { addLock } from './commands/lock.ts';
import { addLogs } from './commands/logs.ts';
import { addPrune } from './commands/prune.ts';
import { addRelease } from './commands/release.ts';
import { addStatus } from './commands/status.ts';
import { addTest } from './commands/test.ts';
import { addUp } from './commands/up.ts';
import { addUpgrade } from './commands/upgrade.ts';
import { ROOT } from './context.ts';

const program = new Command('bedplate')
  .description('Builds, boots, proves and ships container build engines as two images: a runner and its engines.')
  .version(packageVersion(ROOT, 'scripts'))
  .option('--json', 'print results, and errors, as JSON')
  .option('--config <file>', 'the config (default: bedplate.config.ts beside this program)')
  .enablePositionalOptions()
  .showHelpAfterError('(--help shows what there is)')
  .exitOverride();

for (const add of [
  addLock,
  addBuild,
  addRelease,
  addUp,
  addUpgrade,
  addCerts,
  addDown,
  addStatus,
  addPrune,
  addLogs,
  addExec,
  addTest,
  addDoctor,
])
  add(program);
for (const command of program.commands) command.exitOverride().option('--json', 'print results, and errors, as JSON');

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Prints what went wrong for a person or a machine, and gives the exit code: 1 failure, 2 usage. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const known = error instanceof BedplateError;
  const code = known ? error.code : 'internal';
  const advice = known ? error.advice : 'This is a fault of bedplate: please report it with the lines above.';
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify({ error: { code, message: messageOf(error), advice } }));
  } else {
    console.error(
      `bedplate: ${known ? error.message : error instanceof Error ? error.stack : String(error)}\n  → ${advice}`,
    );
  }
  return code === 'usage' ? 2 : 1;
}
