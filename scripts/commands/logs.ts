import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { BedplateError } from '../../images/error.ts';
import type { RunnerState } from '../../images/runner/state.ts';
import { namedRunner } from '../context.ts';

interface Options {
  readonly state?: string;
  readonly follow?: boolean;
}

export function addLogs(program: Command): void {
  program
    .command('logs [what]')
    .description("the runner's log, containerd's, or an engine's (such as buildkit-0.34.2)")
    .option('--state <folder>', "the runner's folder (default: RUNNER, else /var/lib/bedplate)")
    .option('-f, --follow', 'go on as it grows')
    .addHelpText('after', '\nExample: bedplate logs -f buildkit-0.34.2')
    .action(async (what: string | undefined, { state: flag, follow }: Options) => {
      let position = print(logFile(namedRunner(flag), what ?? 'runner'), 0);
      while (follow === true) {
        await sleep(200);
        position = print(logFile(namedRunner(flag), what ?? 'runner'), position);
      }
    });
}

function logFile(state: RunnerState, what: string): string {
  const folder = join(state.data, 'log');
  const named = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.log')) : [];
  const known = ['runner', ...named.map((name) => name.slice(0, -'.log'.length))];
  if (!known.includes(what) || !existsSync(state.log)) {
    throw new BedplateError(
      'not-found',
      `${state.folder} has no log of ${what}`,
      existsSync(state.log)
        ? `There is: ${known.join(', ')}.`
        : 'No runner has run there; name its folder with --state or RUNNER.',
    );
  }
  return what === 'runner' ? state.log : join(folder, `${what}.log`);
}

/** Prints a file from a position on and gives the next one; a file that has become shorter is read anew. */
function print(path: string, from: number): number {
  const { size } = statSync(path);
  const start = size < from ? 0 : from;
  const file = openSync(path, 'r');
  try {
    const chunk = Buffer.alloc(1 << 16);
    let position = start;
    for (;;) {
      const bytes = readSync(file, chunk, 0, chunk.length, position);
      if (bytes === 0) return position;
      process.stdout.write(chunk.subarray(0, bytes).toString());
      position += bytes;
    }
  } finally {
    closeSync(file);
  }
}
