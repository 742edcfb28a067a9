import type { Command } from 'commander';
import { BedplateError } from '../../images/error.ts';
import { controlClient } from '../../images/runner/control.ts';
import { makeContext, namedRunner } from '../context.ts';

export function addPrune(program: Command): void {
  program
    .command('prune [line...]')
    .description('remove what state lines and engine images have on disk. What runs is refused')
    .option('--image <engine...>', 'unpacked engine images, <kind>/<version>; they come again when they are asked for')
    .option('--state <folder>', "the runner's folder (default: RUNNER, else /var/lib/bedplate)")
    .addHelpText('after', '\nExample: bedplate prune buildkit/0.13   (bedplate status shows lines and images)')
    .action(async (lines: string[], flags: { state?: string; image?: string[] }, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const control = controlClient(namedRunner(flags.state));
      const wantedLines = lines.map((name) => parseName(name, 'a state line', 'buildkit/0.13'));
      const wantedImages = (flags.image ?? []).map((name) => parseName(name, 'an engine', 'buildkit/0.13.2'));
      if (wantedLines.length + wantedImages.length === 0)
        throw new BedplateError('usage', 'nothing to prune is named', 'Name state lines, or images with --image.');
      const before = { lines: await control.lines(), images: await control.images() };
      const pruned: { line: string; bytes: number }[] = [];
      for (const [kind, line] of wantedLines) {
        await control.prune(kind, line);
        const bytes = before.lines.find((found) => found.kind === kind && found.line === line)?.bytes ?? 0;
        pruned.push({ line: `${kind}/${line}`, bytes });
      }
      const images: { image: string; bytes: number }[] = [];
      for (const [kind, version] of wantedImages) {
        await control.pruneImage(kind, version);
        const bytes = before.images.find((found) => found.kind === kind && found.version === version)?.bytes ?? 0;
        images.push({ image: `${kind}/${version}`, bytes });
      }
      const all = [...pruned.map((p) => ({ name: p.line, ...p })), ...images.map((i) => ({ name: i.image, ...i }))];
      console.log(
        context.json
          ? JSON.stringify({ pruned, images })
          : all.map(({ name, bytes }) => `${name}: ${(bytes / 1e6).toFixed(1)} MB freed`).join('\n'),
      );
    });
}

function parseName(name: string, what: string, example: string): [kind: string, name: string] {
  const [kind, below, ...rest] = name.split('/');
  if (kind !== undefined && kind !== '' && below !== undefined && below !== '' && rest.length === 0)
    return [kind, below];
  throw new BedplateError('usage', `${name} is not ${what}`, `Give one such as ${example}.`);
}
