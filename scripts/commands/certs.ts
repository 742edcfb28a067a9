import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { CertsResult } from '../../images/runner/tls/certs.ts';
import { DEFAULT_TLS_SUFFIX, isDnsName, serverNames } from '../../images/runner/tls/names.ts';
import { makeContext } from '../context.ts';

interface Flags {
  readonly out: string;
  readonly host?: readonly string[];
  readonly client: string;
  readonly days: number;
  readonly suffix: string;
  readonly force?: boolean;
}

export function addCerts(program: Command): void {
  program
    .command('certs')
    .description('make a small authority, a server and a client certificate, for `up --tls-listen`')
    .requiredOption(
      '--out <folder>',
      'where to put them; an authority that is there signs, so a second run adds a client',
    )
    .option('--host <name-or-address>', 'what clients reach the runner by; may be given again', addHost)
    .option('--client <name>', "the client's name", clientName, 'client')
    .option('--days <number>', 'how long the certificates are valid (the authority: ten years)', days, 365)
    .option('--suffix <name>', 'what ends the server names that mean an engine', dnsSuffix, DEFAULT_TLS_SUFFIX)
    .option('--force', "make the server's and the client's keys anew; the authority stays")
    .addHelpText('after', '\nExample: bedplate certs --out certs --host builder.example.org --client alice')
    .action(async (flags: Flags, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const kinds = (await context.config()).engines.map(({ kind }) => kind.kind);
      // Loaded when it is needed: every other command starts without the X.509 library.
      const { makeCerts } = await import('../../images/runner/tls/certs.ts');
      const result = await makeCerts({
        folder: resolve(flags.out),
        names: serverNames(kinds, flags.suffix, flags.host ?? []),
        client: flags.client,
        days: flags.days,
        force: flags.force === true,
        now: new Date(),
      });
      console.log(context.json ? JSON.stringify(result) : whatNext(result, flags, kinds[0] ?? 'buildkit'));
    });
}

/** What a person does next, ready to be pasted. */
function whatNext({ folder, made, kept }: CertsResult, { host = [], client, suffix }: Flags, kind: string): string {
  const at = (name: string) => join(folder, name);
  const reached = host.find((name) => !name.startsWith('*')) ?? 'localhost';
  const suffixFlag = suffix === DEFAULT_TLS_SUFFIX ? '' : ` --tls-suffix ${suffix}`;
  return [
    `${folder}: ${made.length === 0 ? 'all is there already' : `made ${made.join(', ')}`}${made.length > 0 && kept.length > 0 ? `; kept ${kept.join(', ')}` : ''}.`,
    'Whoever has ca.key can make clients: keep it to yourself. Next:',
    `  sudo ./bedplate up --tls-listen :8443 --tls-certs ${folder}${suffixFlag}`,
    `  buildctl --addr tcp://${isIP(reached) === 6 ? `[${reached}]` : reached}:8443 --tlsservername ${kind}.${suffix} \\`,
    `    --tlscacert ${at('ca.crt')} --tlscert ${at(`${client}.crt`)} --tlskey ${at(`${client}.key`)} debug workers`,
    `Another engine than the default: --tlsservername 0-29-0.${kind}.${suffix} (its version, with dashes for dots).`,
  ].join('\n');
}

function addHost(text: string, before: readonly string[] = []): readonly string[] {
  const name = text.toLowerCase();
  if (isIP(name) !== 0 ? !name.includes('%') : isDnsName(name.replace(/^\*\./, ''))) return [...before, name];
  throw new InvalidArgumentError('a DNS name or an IP address, without a port');
}

function clientName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text) && !['ca', 'server'].includes(text.toLowerCase())) return text;
  throw new InvalidArgumentError('a name of letters, digits, dots, dashes and underscores, other than ca and server');
}

function days(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 3650) return value;
  throw new InvalidArgumentError('a number of days from 1 to 3650');
}

/** A suffix for TLS server names, of --suffix here and --tls-suffix of `up`. */
export function dnsSuffix(text: string): string {
  if (isDnsName(text)) return text;
  throw new InvalidArgumentError('a DNS name in lower case, such as engines.example.org');
}
