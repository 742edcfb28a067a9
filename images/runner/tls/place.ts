import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { BedplateError } from '../../error.ts';
import { writeFileAtomic } from '../../files.ts';
import type { RunnerState } from '../state.ts';
import { fits, readCert, readKey } from './pem.ts';

/** A runner's network port. */
export interface TlsOptions {
  /** host:port; the host may be empty. */
  readonly listen: string;
  readonly suffix: string;
  /** A folder with ca.crt, server.crt and server.key. */
  readonly certs: string;
}

/** What the runner needs of a folder of certificates: by name, content and mode. The authority's key is not among it. */
export type TlsFiles = readonly (readonly [name: string, content: string, mode: number])[];

/** Reads the files and checks that the server's belong together, so that a wrong set stops `up` before anything is touched. */
export function readTlsFiles(folder: string): TlsFiles {
  const ca = readCert(join(folder, 'ca.crt'));
  const cert = readCert(join(folder, 'server.crt'));
  const key = readKey(join(folder, 'server.key'));
  if (!fits(new X509Certificate(cert), key)) {
    throw new BedplateError(
      'certs',
      `${join(folder, 'server.crt')} is not of the server.key beside it`,
      'Put the two that belong together there, or make a set with ./bedplate certs.',
    );
  }
  return [
    ['ca.crt', ca, 0o644],
    ['server.key', key, 0o600],
    ['server.crt', cert, 0o644],
  ];
}

/** Writes the files where the runner reads them, /etc/bedplate/tls: docs/spec/runner.md, "TLS". */
export function placeTlsFiles(state: RunnerState, files: TlsFiles): void {
  const folder = join(state.etc, 'tls');
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o700);
  for (const [name, content, mode] of files) writeFileAtomic(join(folder, name), content, mode);
}
