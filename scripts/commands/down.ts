import { rmSync } from 'node:fs';
import type { Command } from 'commander';
import { down } from '../../images/runner/down.ts';
import { requireRoot } from '../../images/runner/up.ts';
import { makeContext, namedRunner } from '../context.ts';

interface Options {
  readonly state?: string;
  readonly purge?: boolean;
  readonly now?: boolean;
}

/** Longer than the slowest engine's stopTimeoutMs, with room for containerd. */
export const STOP_TIMEOUT_MS = 60_000;

export function addDown(program: Command): void {
  program
    .command('down')
    .description('stop the runner and its engines; caches stay for the next up')
    .option('--state <folder>', "the runner's folder (default: RUNNER, else /var/lib/bedplate)")
    .option('--now', 'cut off what is connected, instead of letting it finish (for as long as up --drain said)')
    .option('--purge', 'remove the whole state folder too, caches and all')
    .addHelpText('after', '\nExample: sudo bedplate down')
    .action(async ({ state: flag, purge, now }: Options, command: Command) => {
      requireRoot('down');
      const context = makeContext(command.optsWithGlobals());
      const state = namedRunner(flag);
      const result = await down(state, {
        timeoutMs: STOP_TIMEOUT_MS,
        now: now === true,
        onDrain: (connections) =>
          console.error(`${connections} connections may finish first (--now does not wait for them) …`),
      });
      if (purge === true) rmSync(state.folder, { recursive: true, force: true });
      if (context.json) return console.log(JSON.stringify({ state: state.folder, ...result, purged: purge === true }));
      const how = result.killed ? ' (it had to be killed)' : '';
      console.log(
        result.stopped ? `The runner in ${state.folder} is down${how}.` : `No runner is up in ${state.folder}.`,
      );
      if (purge === true) console.log(`${state.folder} is removed.`);
    });
}
