import { join } from 'node:path';
import type { Command } from 'commander';
import { writeFileAtomic } from '../../images/files.ts';
import { lockChanges } from '../../images/lock/changes.ts';
import { checkedLock, LOCK_FILE, readLock } from '../../images/lock/read.ts';
import { resolveLock } from '../../images/lock/resolve.ts';
import { makeContext } from '../context.ts';
import { giveBack } from '../ownership.ts';

interface Options {
  readonly update?: string | true;
  readonly check?: boolean;
  readonly json?: boolean;
}

export function addLock(program: Command): void {
  program
    .command('lock')
    .description('lock every input that decides a byte: exact versions and digests')
    .option(
      '--update [name]',
      'resolve again what is locked already: everything, or one input (go, debian, containerd, runc, buildkit)',
    )
    .option('--check', 'only check that the lock fits the config')
    .addHelpText('after', '\nExample: bedplate lock --update buildkit')
    .action(async (options: Options, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const config = await context.config();
      if (options.check === true) {
        const lock = checkedLock(context.root, config);
        return console.log(
          context.json
            ? JSON.stringify({ ok: true, components: lock.components.length })
            : `${LOCK_FILE} fits the config.`,
        );
      }
      const previous = readLock(context.root);
      const update =
        typeof options.update === 'string' ? { all: false, name: options.update } : { all: options.update === true };
      const onProgress = (what: string) => process.stderr.isTTY && process.stderr.write(`\x1b[2K\rresolving ${what}`);
      const lock = await resolveLock({ root: context.root, config, previous, update, onProgress });
      if (process.stderr.isTTY) process.stderr.write('\x1b[2K\r');
      const changes = lockChanges(previous, lock);
      if (changes.length > 0) writeFileAtomic(join(context.root, LOCK_FILE), `${JSON.stringify(lock, null, 2)}\n`);
      await giveBack([join(context.root, LOCK_FILE), join(context.root, 'images'), context.cache], process.env);
      console.log(context.json ? JSON.stringify({ changes }) : changes.join('\n') || 'Nothing changed.');
    });
}
