import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../process.ts';
import { RUNNER_BIN } from './runner-image.ts';
import type { RunnerRecord, RunnerState } from './state.ts';

/** The bridges of a runner on this host, by the id in their names: docs/spec/runner.md, "Networks". */
export function bridgesOf(state: RunnerState): string[] {
  const file = idFile(state);
  if (!existsSync(file)) return [];
  const own = `bp-${readFileSync(file, 'utf8')}`;
  return readdirSync('/sys/class/net').filter((name) => name.startsWith(own));
}

/** Removes what a killed runner left of them; one that ended by itself left none. */
export async function removeBridges(state: RunnerState, record: Pick<RunnerRecord, 'rootfs'>): Promise<void> {
  if (bridgesOf(state).length > 0)
    await run(join(record.rootfs, RUNNER_BIN, 'bedplated'), ['clear-bridges', idFile(state)]);
}

function idFile(state: RunnerState): string {
  return join(state.data, 'id');
}
