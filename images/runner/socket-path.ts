import { join } from 'node:path';
import { BedplateError } from '../error.ts';
import type { RunnerState } from './state.ts';

/** sockaddr_un holds 108 bytes with the closing one: unix(7). */
export const SOCKET_PATH_BYTES = 107;

/** Refuses a state folder whose sockets would have too long a name. @param engines as `<kind>/<version>` */
export function checkSocketPaths(state: RunnerState, engines: readonly string[]): void {
  const paths = ['control.sock', ...engines.map((engine) => `${engine}.sock`)].map((name) => join(state.run, name));
  const longest = paths.reduce((a, b) => (Buffer.byteLength(b) > Buffer.byteLength(a) ? b : a));
  const bytes = Buffer.byteLength(longest);
  if (bytes <= SOCKET_PATH_BYTES) return;
  throw new BedplateError(
    'state',
    `${longest} has ${bytes} bytes; a socket's path has at most ${SOCKET_PATH_BYTES}`,
    `Choose a state folder whose path is at least ${bytes - SOCKET_PATH_BYTES} bytes shorter with --state.`,
  );
}
