import { existsSync, readFileSync, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { compile } from '../../images/compile/compile.ts';
import { packerInput } from '../../images/components.ts';
import { BedplateError } from '../../images/error.ts';
import { checkedLock } from '../../images/lock/read.ts';
import { hostPlatform } from '../../images/platform.ts';
import { hostSocket } from '../../images/runner/control.ts';
import { groupId, readHost } from '../../images/runner/host.ts';
import type { HostMount, RunnerState } from '../../images/runner/state.ts';
import { DEFAULT_TLS_SUFFIX, isListenAddress } from '../../images/runner/tls/names.ts';
import type { TlsOptions } from '../../images/runner/tls/place.ts';
import { requireRoot, type UpResult, up } from '../../images/runner/up.ts';
import { type Context, makeContext, namedRunner, outFolder, stateFlag } from '../context.ts';
import { dnsSuffix } from './certs.ts';

export const READY_TIMEOUT_MS = 60_000;

export interface UpFlags {
  readonly state?: string;
  readonly layout?: string;
  readonly settings?: string;
  readonly mount?: readonly HostMount[];
  readonly socketGroup?: string;
  readonly socketMode?: string;
  readonly idle?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly engineConfig?: string;
  readonly drain?: number;
  readonly lineWait?: number;
  readonly lineConflict?: 'wait' | 'ephemeral';
  readonly network?: 'host' | 'bridge';
  readonly tlsListen?: string;
  readonly tlsCerts?: string;
  readonly tlsSuffix?: string;
}

export function addUp(program: Command): void {
  program
    .command('up')
    .description('boot the runner of dist/oci on this host, with the runc that is inside it')
    .option('--state <folder>', 'where the runner keeps everything (default: RUNNER, else /var/lib/bedplate)')
    .option('--layout <folder>', 'the OCI image layout to boot (default: dist/oci)')
    .option('--settings <file>', 'a bedplated.json: limits, disk, DNS and all else; the flags below go before it')
    .option(
      '--mount <path[:inside]>',
      'a file or folder of this host that the runner sees, read-only, such as a runtime; can be given again',
      hostMount,
    )
    .option('--socket-group <group>', 'the group that may use the sockets (default: root alone)')
    .option('--socket-mode <mode>', 'the mode of the sockets (default: 0660)', octalMode)
    .option('--idle <seconds>', 'stop an engine that nobody has used for so long (default: 300)', seconds)
    .option('--env <NAME=value>', 'set in every engine, such as HTTPS_PROXY=…; can be given again', variable)
    .option(
      '--engine-config <folder>',
      'pieces of engines’ configuration: <kind>/buildkitd.toml, <kind>/<version>/buildkitd.toml',
    )
    .option(
      '--drain <seconds>',
      'how long connections may go on when the runner is told to stop (default: 300)',
      seconds,
    )
    .option(
      '--line-wait <seconds>',
      'how long an engine waits for state that another patch of its line uses (default: 600)',
      seconds,
    )
    .addOption(
      new Option('--line-conflict <what>', 'wait for that state, or take a temporary one (default: wait)').choices([
        'wait',
        'ephemeral',
      ]),
    )
    .addOption(
      new Option(
        '--network <what>',
        'of what builds run: this host’s, or a bridge of its engine’s (default: host)',
      ).choices(['host', 'bridge']),
    )
    .option(
      '--tls-listen <address>',
      'let clients of the network in here, by mutual TLS: host:port or :port',
      listenAddress,
    )
    .option('--tls-certs <folder>', 'its ca.crt, server.crt and server.key, such as `bedplate certs` makes')
    .option(
      '--tls-suffix <name>',
      `what ends the server names that mean an engine (default: ${DEFAULT_TLS_SUFFIX})`,
      dnsSuffix,
    )
    .addHelpText('after', '\nExample: sudo bedplate up --state /srv/bedplate --socket-group docker')
    .action(async (flags: UpFlags, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const state = namedRunner(flags.state);
      const onStep = context.json ? undefined : (what: string) => console.error(`${what} …`);
      const result = await upRunner(context, state, flags, onStep);
      console.log(
        context.json
          ? JSON.stringify({ state: state.folder, ...result })
          : announceUp(state, result, tlsOptions(flags)),
      );
    });
}

/** Boots a runner as `up` and `release --local` do. */
export async function upRunner(
  context: Context,
  state: RunnerState,
  flags: UpFlags,
  onStep?: (what: string) => void,
): Promise<UpResult> {
  requireRoot('up');
  const tls = tlsOptions(flags);
  const packer = await packerPath(context);
  return up({
    state,
    layout: flags.layout ?? join(outFolder(undefined), 'oci'),
    host: readHost(),
    packer,
    choices: {
      settings: chosenSettings(flags),
      mounts: flags.mount ?? [],
      ...(flags.engineConfig === undefined ? {} : { engineConfig: knownFolder(flags.engineConfig) }),
      ...(tls === undefined ? {} : { tls }),
    },
    readyTimeoutMs: READY_TIMEOUT_MS,
    ...(onStep === undefined ? {} : { onStep }),
  });
}

/** bedplated.json: the file that --settings names, and what the flags say. */
function chosenSettings(flags: UpFlags): Record<string, unknown> {
  const seconds = (value: number | undefined) => (value === undefined ? undefined : value * 1000);
  const given = {
    socketGid: flags.socketGroup === undefined ? undefined : knownGroup(flags.socketGroup),
    socketMode: flags.socketMode,
    idleTimeoutMs: seconds(flags.idle),
    env: flags.env,
    drainMs: seconds(flags.drain),
    lineWaitMs: seconds(flags.lineWait),
    lineConflict: flags.lineConflict,
    network: flags.network,
  };
  const file = flags.settings === undefined ? {} : readSettings(flags.settings);
  return { ...file, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}

function readSettings(path: string): object {
  const wrong = (what: string) =>
    new BedplateError(
      'usage',
      `--settings ${path}: ${what}`,
      'Its fields are in docs/spec/runner.md, "bedplated.json".',
    );
  if (!existsSync(path)) throw wrong('there is no such file');
  try {
    const read: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof read === 'object' && read !== null && !Array.isArray(read)) return read;
  } catch (error) {
    throw wrong((error as Error).message);
  }
  throw wrong('not a JSON object');
}

/** The program that unpacks images, compiled when it is not there. */
export async function packerPath(context: Context): Promise<string> {
  const lock = checkedLock(context.root, await context.config());
  const input = packerInput({ root: context.root, lock, host: hostPlatform() });
  return (await compile(input, { lock, cache: context.cache })).programs[0]?.path ?? '';
}

/** What a person does next, ready to be pasted. */
export function announceUp(state: RunnerState, { runner, engines, bootMs }: UpResult, tls?: TlsOptions): string {
  const baked = engines.find((engine) => engine.default);
  return [
    `Runner ${runner.version} is ready after ${Math.round(bootMs)} ms, with ${engines.map((e) => `${e.kind} ${e.version}`).join(', ')}.`,
    ...(baked === undefined
      ? []
      : [`export BUILDKIT_HOST=unix://${hostSocket(state, `/run/bedplate/${baked.kind}/default.sock`)}`]),
    ...(tls === undefined
      ? []
      : [
          `TLS on ${tls.listen}, server names <version, dashes for dots>.<kind>.${tls.suffix}; any other name is the default engine.`,
        ]),
    `export RUNNER=${state.folder}`,
    `Stop it with: ./bedplate down${stateFlag(state)}`,
  ].join('\n');
}

/** The port that the flags ask for. They come together or not at all. */
function tlsOptions({ tlsListen: listen, tlsCerts: certs, tlsSuffix: suffix }: UpFlags): TlsOptions | undefined {
  if (listen !== undefined && certs !== undefined)
    return { listen, certs: resolve(certs), suffix: suffix ?? DEFAULT_TLS_SUFFIX };
  if (listen === undefined && certs === undefined && suffix === undefined) return undefined;
  throw new BedplateError(
    'usage',
    `--tls-${listen === undefined ? 'listen' : 'certs'} is missing: the network port needs an address and certificates`,
    'Give both --tls-listen <address> and --tls-certs <folder>; ./bedplate certs makes such a folder.',
  );
}

function knownGroup(name: string): number {
  const gid = groupId(name);
  if (gid !== undefined) return gid;
  throw new BedplateError(
    'usage',
    `--socket-group ${name}: this host has no such group`,
    `Make it with groupadd ${name}, or name another.`,
  );
}

function knownFolder(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return resolve(path);
  throw new BedplateError(
    'usage',
    `--engine-config ${path}: there is no such folder`,
    'Give one that has <kind>/buildkitd.toml.',
  );
}

function hostMount(text: string, before: readonly HostMount[] | undefined): readonly HostMount[] {
  const [source = '', destination = source, ...rest] = text.split(':');
  if (!isAbsolute(source) || !isAbsolute(destination) || rest.length > 0)
    throw new InvalidArgumentError('an absolute path, or two with a colon between');
  if (!existsSync(source)) throw new InvalidArgumentError('there is no such file or folder');
  return [...(before ?? []), { source, destination }];
}

function variable(text: string, before: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return { ...before, [name]: value };
  throw new InvalidArgumentError('NAME=value, such as HTTPS_PROXY=http://proxy.example.org:3128');
}

function seconds(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('a number of seconds above 0');
}

function listenAddress(text: string): string {
  if (isListenAddress(text)) return text;
  throw new InvalidArgumentError('an IP address and a port, such as 127.0.0.1:8443, [::1]:8443 or :8443');
}

function octalMode(text: string): string {
  if (/^0?[0-7]{3}$/.test(text)) return text.padStart(4, '0');
  throw new InvalidArgumentError('an octal mode such as 0660');
}
