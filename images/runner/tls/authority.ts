import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
// @peculiar/x509 needs it, and does not bring it.
import 'reflect-metadata';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** A key and its certificate, as PEM. */
export interface KeyAndCert {
  readonly key: string;
  readonly cert: string;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What a certificate is for: a server of these names and addresses, or a client of this name. */
export type Purpose = { readonly server: readonly string[] } | { readonly client: string };

/** A new ECDSA P-256 key, as PKCS #8 PEM. */
export function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: P256.namedCurve });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** The certificate of an authority that signs servers and clients, and no other authority. Its name tells it from other ones. */
export async function authorityCert(key: string, validity: Validity): Promise<string> {
  const keys = cryptoKeys(key);
  const print = createHash('sha256').update(createPublicKey(key).export({ format: 'der', type: 'spki' }));
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [`bedplate CA ${print.digest('hex').slice(0, 8)}`] }],
    keys,
    ...validity,
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pem(certificate.toString('pem'));
}

/** A certificate for a key, signed by an authority; it ends no later than the authority does. RFC 5280. */
export async function issueCert(ca: KeyAndCert, key: string, purpose: Purpose, validity: Validity): Promise<string> {
  const keys = cryptoKeys(key);
  const signer = cryptoKeys(ca.key);
  const authority = new X509Certificate(ca.cert);
  const { name, usage, names } =
    'server' in purpose
      ? { name: 'bedplate runner', usage: ExtendedKeyUsage.serverAuth, names: purpose.server }
      : { name: purpose.client, usage: ExtendedKeyUsage.clientAuth, names: [] };
  const alternatives = names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value }));
  const certificate = await X509CertificateGenerator.create({
    subject: [{ CN: [name] }],
    issuer: authority.subjectName,
    publicKey: keys.publicKey,
    signingKey: signer.privateKey,
    notBefore: validity.notBefore,
    notAfter: new Date(Math.min(validity.notAfter.getTime(), authority.notAfter.getTime())),
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([usage]),
      ...(alternatives.length === 0 ? [] : [new SubjectAlternativeNameExtension(alternatives)]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(signer.publicKey),
    ],
  });
  return pem(certificate.toString('pem'));
}

function cryptoKeys(key: string): webcrypto.CryptoKeyPair {
  return {
    privateKey: createPrivateKey(key).toCryptoKey(P256, true, ['sign']),
    publicKey: createPublicKey(key).toCryptoKey(P256, true, ['verify']),
  };
}

function pem(text: string): string {
  return `${text.trimEnd()}\n`;
}
