import { basename } from 'node:path';
import type { Command } from 'commander';
import { cliPath } from '../../images/build.ts';
import { components } from '../../images/components.ts';
import { chooseVersion } from '../../images/engines/choose.ts';
import { BedplateError } from '../../images/error.ts';
import { checkedLock } from '../../images/lock/read.ts';
import { hostPlatform } from '../../images/platform.ts';
import { runAttached } from '../../images/process.ts';
import { controlClient, hostSocket } from '../../images/runner/control.ts';
import { makeContext, namedRunner } from '../context.ts';

interface Options {
  readonly engine: string;
  readonly cli?: string;
  readonly state?: string;
}

export function addExec(program: Command): void {
  program
    .command('exec <cli> [args...]')
    .description("run a CLI against an engine of the runner: by default the engine's own version of it")
    .requiredOption('--engine <range>', 'which engine: the highest version that fits')
    .option('--cli <range>', 'which version of the CLI, when it is not to be the engine’s own')
    .option('--state <folder>', "the runner's folder (default: RUNNER, else /var/lib/bedplate)")
    .passThroughOptions()
    .addHelpText('after', '\nExample: bedplate exec --engine 0.13 --cli 0.29 -- buildctl debug workers')
    .action(async (cli: string, args: string[], options: Options, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const state = namedRunner(options.state);
      const config = await context.config();
      const lock = checkedLock(context.root, config);
      const program = basename(cli);
      const kind = config.engines.map((engine) => engine.kind).find((k) => k.clis.includes(program));
      if (kind === undefined) {
        const known = config.engines.flatMap((engine) => engine.kind.clis).join(', ');
        throw new BedplateError(
          'usage',
          `${cli} is not the CLI of any engine kind in the config`,
          `There is: ${known}.`,
        );
      }
      const { engines } = await controlClient(state).engines();
      const here = engines.filter((engine) => engine.kind === kind.kind);
      const version = chooseVersion(
        here.map((e) => e.version),
        options.engine,
        `${kind.kind} engine`,
        `in the runner of ${state.folder}`,
      );
      const socket = here.find((engine) => engine.version === version)?.socket ?? '';
      const platform = hostPlatform();
      const locked = components({ root: context.root, config, lock, platform, host: platform }).engines.filter(
        (e) => e.kind === kind,
      );
      const cliVersion = chooseVersion(
        locked.map((e) => e.version),
        options.cli ?? version,
        program,
        'in the lock',
      );
      const engine = locked.find((e) => e.version === cliVersion);
      if (engine === undefined) throw new TypeError('chooseVersion gives one of the versions it was given');
      const { path } = await cliPath(engine, program, { lock, cache: context.cache });
      const environment = {
        ...(process.env as Record<string, string>),
        [kind.hostVariable]: `unix://${hostSocket(state, socket)}`,
      };
      process.exitCode = await runAttached(path, args, environment);
    });
}
