import { join } from 'node:path';
import type { Command } from 'commander';
import { readHost } from '../../images/runner/host.ts';
import { requireRoot } from '../../images/runner/up.ts';
import { upgrade } from '../../images/runner/upgrade.ts';
import { makeContext, namedRunner, outFolder } from '../context.ts';
import { STOP_TIMEOUT_MS } from './down.ts';
import { packerPath, READY_TIMEOUT_MS } from './up.ts';

interface Flags {
  readonly state?: string;
  readonly layout?: string;
}

export function addUpgrade(program: Command): void {
  program
    .command('upgrade')
    .description(
      'replace the runner by the one of a layout: what is connected finishes, who comes meanwhile waits, state and settings stay',
    )
    .option('--state <folder>', "the runner's folder (default: RUNNER, else /var/lib/bedplate)")
    .option('--layout <folder>', 'the OCI image layout that has the new runner (default: dist/oci)')
    .addHelpText('after', '\nExample: sudo bedplate upgrade --layout /srv/bedplate-0.2/oci')
    .action(async (flags: Flags, command: Command) => {
      requireRoot('upgrade');
      const context = makeContext(command.optsWithGlobals());
      const state = namedRunner(flags.state);
      const say = (what: string) => (context.json ? undefined : console.error(`${what} …`));
      const result = await upgrade({
        state,
        layout: flags.layout ?? join(outFolder(undefined), 'oci'),
        host: readHost(),
        packer: await packerPath(context),
        readyTimeoutMs: READY_TIMEOUT_MS,
        stopTimeoutMs: STOP_TIMEOUT_MS,
        onStep: say,
        onDrain: (connections) => say(`${connections} connections may finish first`),
      });
      console.log(
        context.json
          ? JSON.stringify({ state: state.folder, ...result })
          : `Runner ${result.from} was replaced by ${result.runner.version}, ready after ${Math.round(result.bootMs)} ms.`,
      );
    });
}
