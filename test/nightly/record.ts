import { join } from 'node:path';
import { writeFileAtomic } from '../../images/files.ts';
import { run } from '../../images/process.ts';
import { ROOT } from '../harness.ts';

/** The last result of a nightly test, kept in docs/nightly. Nothing of the machine that it ran on is in it but what it says. */
export interface NightlyRecord {
  readonly status: 'pass' | 'fail';
  readonly seconds: number;
  /** What the test wants known of how it ran. */
  readonly facts: Readonly<Record<string, string | number>>;
  readonly tests: readonly { readonly name: string; readonly status: string; readonly seconds: number }[];
}

/** Writes docs/nightly/<name>.json: the result, when it was, and of which commit. */
export async function recordNightly(name: string, record: NightlyRecord): Promise<void> {
  const content = { date: new Date().toISOString().slice(0, 16).concat('Z'), commit: await commit(), ...record };
  writeFileAtomic(join(ROOT, 'docs/nightly', `${name}.json`), `${JSON.stringify(content, null, 2)}\n`);
}

/** HEAD, with what has changed since said; the records themselves do not count. */
async function commit(): Promise<string> {
  const git = async (...args: string[]) => (await run('git', args, { cwd: ROOT })).stdout.trim();
  const changed = await git('status', '--porcelain', '--', '.', ':!docs/nightly');
  return `${await git('rev-parse', 'HEAD')}${changed === '' ? '' : ' and changes'}`;
}
