import { chownSync, existsSync, lchownSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * After a run with sudo: gives what root made in a folder of the invoking user back to that user, so that the next plain run can use it.
 * Folders that are root's own place (the owner of their parent is root) are left alone.
 */
export function giveBack(folders: readonly string[], env: Readonly<Record<string, string | undefined>>): void {
  const uid = Number(env.SUDO_UID);
  const gid = Number(env.SUDO_GID);
  if (process.getuid?.() !== 0 || !(uid > 0)) return;
  for (const folder of folders) {
    const parent = join(folder, '..');
    if (existsSync(folder) && existsSync(parent) && lstatSync(parent).uid === uid) giveTree(folder, uid, gid);
  }
}

function giveTree(path: string, uid: number, gid: number): void {
  const stat = lstatSync(path);
  if (stat.isDirectory()) {
    for (const name of readdirSync(path)) giveTree(join(path, name), uid, gid);
    if (stat.uid === 0) chownSync(path, uid, gid);
  } else if (stat.uid === 0) {
    lchownSync(path, uid, gid);
  }
}
