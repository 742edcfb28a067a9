import type { Command } from 'commander';
import { BedplateError } from '../../images/error.ts';
import { controlClient } from '../../images/runner/control.ts';
import { makeContext, namedRunner } from '../context.ts';

export function addPrune(program: Command): void {
  program
    .command('prune <line...>')
    .description(
      'remove what state lines have on disk: caches, snapshots, history. One that an engine holds is refused',
    )
    .option('--state <folder>', "the runner's folder (default: RUNNER, else /var/lib/bedplate)")
    .addHelpText('after', '\nExample: bedplate prune buildkit/0.13   (bedplate status shows the lines)')
    .action(async (names: string[], { state }: { readonly state?: string }, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const control = controlClient(namedRunner(state));
      const wanted = names.map(parseLine);
      const before = await control.lines();
      const freed: { line: string; bytes: number }[] = [];
      for (const { kind, line } of wanted) {
        await control.prune(kind, line);
        const bytes = before.find((found) => found.kind === kind && found.line === line)?.bytes ?? 0;
        freed.push({ line: `${kind}/${line}`, bytes });
      }
      console.log(
        context.json
          ? JSON.stringify({ pruned: freed })
          : freed.map(({ line, bytes }) => `${line}: ${(bytes / 1e6).toFixed(1)} MB freed`).join('\n'),
      );
    });
}

function parseLine(name: string): { kind: string; line: string } {
  const [kind, line, ...rest] = name.split('/');
  if (kind !== undefined && kind !== '' && line !== undefined && line !== '' && rest.length === 0)
    return { kind, line };
  throw new BedplateError('usage', `${name} is not a state line`, 'Give <kind>/<line>, such as buildkit/0.13.');
}
