import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { processRuns, sweepTemporaries } from '../../cache.ts';
import { BedplateError } from '../../error.ts';
import { writeFileAtomic } from '../../files.ts';
import { authorityCert, issueCert, type KeyAndCert, newKey, type Purpose, type Validity } from './authority.ts';
import { fits, isP256, readCert, readKey } from './pem.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const AUTHORITY_DAYS = 3650;
/** Clocks differ: a certificate is valid from a little before it was made. */
const SKEW_MS = 60 * 60 * 1000;

export interface CertsOptions {
  readonly folder: string;
  /** What the server's certificate names. */
  readonly names: readonly string[];
  /** The client's name, and that of its files. */
  readonly client: string;
  /** How long the server's and the client's certificates are valid. */
  readonly days: number;
  /** Make the server's and the client's keys anew; never the authority's. */
  readonly force: boolean;
  readonly now: Date;
}

export interface CertsResult {
  readonly folder: string;
  /** Names of files in the folder. */
  readonly made: readonly string[];
  readonly kept: readonly string[];
}

interface PlannedFile {
  readonly name: string;
  readonly content: string;
  readonly mode: number;
}

/**
 * Makes an authority, a server's and a client's key and certificate in a folder; what is there and right is kept, so a second run adds a client.
 * Everything is made before the first file is written. Each file appears whole, a key before its certificate; and a key whose certificate
 * is missing gets one: the same command finishes what a killed one began.
 */
export async function makeCerts(options: CertsOptions): Promise<CertsResult> {
  const { folder, days, now, names, client, force } = options;
  const ca = await planAuthority(folder, now);
  const validity = lasting(now, days);
  const server = await planLeaf('server', { server: names }, ca, validity, options);
  const own = await planLeaf(client, { client }, ca, validity, options);
  const planned = [...ca.files, ...server, ...own];

  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o700);
  }
  sweepTemporaries(folder, processRuns);
  // With the old certificate gone first, a killed run leaves a key without one, never a key with a wrong one.
  if (force) for (const name of ['server', client]) rmSync(join(folder, `${name}.crt`), { force: true });
  for (const { name, content, mode } of planned) writeFileAtomic(join(folder, name), content, mode);
  const made = planned.map(({ name }) => name);
  const kept = ['ca', 'server', client].flatMap((n) => [`${n}.crt`, `${n}.key`]).filter((n) => !made.includes(n));
  return { folder, made, kept };
}

async function planAuthority(folder: string, now: Date): Promise<KeyAndCert & { files: PlannedFile[] }> {
  const found = readPair(folder, 'ca');
  if (found.cert !== undefined && found.key === undefined) {
    throw new BedplateError(
      'certs',
      `${join(folder, 'ca.crt')} is there without its ca.key: nothing can be signed`,
      'Put ca.key beside it, or choose an empty folder for a new authority.',
    );
  }
  const key = found.key ?? newKey();
  const keyFile = found.key === undefined ? [privateFile('ca.key', key)] : [];
  if (found.cert === undefined) {
    const cert = await authorityCert(key, lasting(now, AUTHORITY_DAYS));
    return { key, cert, files: [...keyFile, publicFile('ca.crt', cert)] };
  }
  const certificate = new X509Certificate(found.cert);
  const wrong = !fits(certificate, key)
    ? 'is not of the ca.key beside it'
    : !certificate.ca
      ? 'is no authority’s certificate'
      : certificate.validToDate <= now
        ? `has expired (${certificate.validTo})`
        : undefined;
  if (wrong === undefined) return { key, cert: found.cert, files: [] };
  throw new BedplateError('certs', `${join(folder, 'ca.crt')} ${wrong}`, 'Choose an empty folder for a new authority.');
}

/** The files of a server or a client that are to be written: none when those that are there will do. */
async function planLeaf(
  name: string,
  purpose: Purpose,
  ca: KeyAndCert,
  validity: Validity,
  { folder, force, now }: CertsOptions,
): Promise<PlannedFile[]> {
  const found = force ? { key: undefined, cert: undefined } : readPair(folder, name);
  if (found.cert !== undefined) {
    const certificate = new X509Certificate(found.cert);
    const wrong = reasonAgainst(certificate, found.key, purpose, new X509Certificate(ca.cert));
    if (wrong !== undefined) {
      throw new BedplateError(
        'certs',
        `${join(folder, `${name}.crt`)} ${wrong}`,
        'Give --force to make it and its key anew (with every --host it is to name), or choose another folder.',
      );
    }
    if (certificate.validToDate > now) return [];
  }
  const key = found.key ?? newKey();
  const cert = await issueCert(ca, key, purpose, validity);
  const keyFile = found.key === undefined ? [privateFile(`${name}.key`, key)] : [];
  return [...keyFile, publicFile(`${name}.crt`, cert)];
}

/** Why a certificate that is there will not do, for people; age is no reason, since it can be renewed for the same key. */
function reasonAgainst(
  certificate: X509Certificate,
  key: string | undefined,
  purpose: Purpose,
  ca: X509Certificate,
): string | undefined {
  if (key === undefined) return 'is there without its key';
  if (!fits(certificate, key)) return 'is not of the key beside it';
  if (!certificate.verify(ca.publicKey)) return 'is not of the ca.crt beside it';
  if ('client' in purpose) return undefined;
  const missing = purpose.server.filter((name) =>
    isIP(name) === 0
      ? certificate.checkHost(name.replace('*', 'any')) === undefined
      : certificate.checkIP(name) === undefined,
  );
  return missing.length === 0 ? undefined : `does not name ${missing.join(', ')}`;
}

function readPair(folder: string, name: string): { key: string | undefined; cert: string | undefined } {
  const keyPath = join(folder, `${name}.key`);
  const certPath = join(folder, `${name}.crt`);
  const key = existsSync(keyPath) ? readKey(keyPath) : undefined;
  if (key !== undefined && !isP256(key))
    throw new BedplateError('certs', `${keyPath} is no ECDSA P-256 key`, 'Choose an empty folder.');
  return { key, cert: existsSync(certPath) ? readCert(certPath) : undefined };
}

function lasting(now: Date, days: number): Validity {
  return { notBefore: new Date(now.getTime() - SKEW_MS), notAfter: new Date(now.getTime() + days * DAY_MS) };
}

function privateFile(name: string, content: string): PlannedFile {
  return { name, content, mode: 0o600 };
}

function publicFile(name: string, content: string): PlannedFile {
  return { name, content, mode: 0o644 };
}
