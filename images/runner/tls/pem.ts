import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BedplateError, messageOf } from '../../error.ts';

const ADVICE = 'Make a set with ./bedplate certs, or name the folder that has one.';

/** A PEM file whose first certificate can be read. Throws `certs` naming the file. */
export function readCert(path: string): string {
  return readPem(path, (text) => new X509Certificate(text));
}

/** A PEM file with a private key. Throws `certs` naming the file. */
export function readKey(path: string): string {
  return readPem(path, createPrivateKey);
}

/** Whether a key is of the kind that bedplate makes: ECDSA on P-256. */
export function isP256(key: string): boolean {
  return createPrivateKey(key).asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

/** Whether a certificate is of a key. */
export function fits(certificate: X509Certificate, key: string): boolean {
  return certificate.checkPrivateKey(createPrivateKey(key));
}

function readPem(path: string, parse: (text: string) => unknown): string {
  try {
    const text = readFileSync(path, 'utf8');
    parse(text);
    return text;
  } catch (cause) {
    throw new BedplateError('certs', `${path}: ${messageOf(cause)}`, ADVICE, { cause });
  }
}
