import { existsSync, lchownSync, lstatSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { bootstrapGo } from '../images/inputs/go-toolchain.ts';
import { tryRun } from '../images/process.ts';

/**
 * After a run with sudo: gives what root made below a folder of the invoking user back to that user, so that the next plain run can
 * use it. What lies below root's own folders is left alone.
 * @param folders absolute; those that are not there are passed over
 */
export async function giveBack(
  folders: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const uid = Number(env.SUDO_UID);
  const gid = Number(env.SUDO_GID);
  if (process.getuid?.() !== 0 || !(uid > 0)) return;
  for (const folder of [...folders, ...(await goFolders(env))]) {
    if (!existsSync(folder)) continue;
    const made = rootOwnedUpTo(folder, uid);
    if (made === undefined) continue;
    for (const path of made) lchownSync(path, uid, gid);
    giveTree(folder, uid, gid);
  }
}

/** The folders from `folder` upwards that root owns, when the first that it does not own is the user's; else undefined. */
function rootOwnedUpTo(folder: string, uid: number): string[] | undefined {
  const made: string[] = [];
  for (let path = folder; path !== dirname(path); path = dirname(path)) {
    const owner = lstatSync(path).uid;
    if (owner === uid) return made;
    if (owner !== 0) return undefined;
    made.push(path);
  }
  return undefined;
}

function giveTree(path: string, uid: number, gid: number): void {
  const stat = lstatSync(path);
  if (stat.isDirectory()) for (const name of readdirSync(path)) giveTree(join(path, name), uid, gid);
  if (stat.uid === 0) lchownSync(path, uid, gid);
}

/** Where the go command keeps modules, what it compiled, and its own counters. */
async function goFolders(env: Readonly<Record<string, string | undefined>>): Promise<string[]> {
  const { exitCode, stdout } = await tryRun(bootstrapGo(), ['env', 'GOCACHE', 'GOMODCACHE']);
  const config = join(env.XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'go');
  return exitCode === 0 ? [...stdout.trim().split('\n'), config] : [];
}
