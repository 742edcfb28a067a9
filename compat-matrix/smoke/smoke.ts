import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BedplateError } from '../../images/error.ts';
import { tryRun } from '../../images/process.ts';

/** One smoke build: a CLI, an engine's socket, and what they are called. */
export interface SmokeTarget {
  readonly engine: string;
  readonly cli: string;
  /** The path of buildctl. */
  readonly buildctl: string;
  /** The engine's socket on this host. */
  readonly socket: string;
}

/** What a smoke build showed. */
export interface SmokeResult {
  readonly engine: string;
  readonly cli: string;
  readonly status: 'pass' | 'fail';
  readonly seconds: number;
  /** Why it failed; empty when it passed. */
  readonly reason: string;
}

/** A local context, RUN by shell and by exec form, a copy between stages, and an output whose content depends on all of them. */
const DOCKERFILE = `FROM scratch AS shell
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
COPY message /message
ARG NONCE
RUN sha256sum < /message > /sum && echo "$NONCE" > /nonce && id -u > /uid
FROM scratch
COPY --from=shell /sum /nonce /uid /
`;

/**
 * Builds a Dockerfile through one engine and compares what comes out. A failed build is a result, not an error.
 * @param busybox a static busybox, for the build's RUN
 * @param nonce makes the RUN run: no cache has it
 */
export async function smokeBuild(target: SmokeTarget, busybox: string, nonce: string): Promise<SmokeResult> {
  const start = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'bedplate-smoke-'));
  try {
    const context = join(folder, 'context');
    const out = join(folder, 'out');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), DOCKERFILE);
    writeFileSync(join(context, 'message'), `bedplate ${nonce}\n`);
    copyFileSync(busybox, join(context, 'busybox'));
    chmodSync(join(context, 'busybox'), 0o755);
    const args = ['--addr', `unix://${target.socket}`, 'build', '--progress=plain', '--frontend=dockerfile.v0'];
    args.push(
      `--local=context=${context}`,
      `--local=dockerfile=${context}`,
      `--opt=build-arg:NONCE=${nonce}`,
      `--output=type=local,dest=${out}`,
    );
    const { exitCode, stderr } = await tryRun(target.buildctl, args, { timeoutMs: 120_000 });
    const reason =
      exitCode === 0
        ? contentError(out, nonce)
        : `buildctl: exit code ${exitCode}\n${stderr.trim().split('\n').slice(-6).join('\n')}`;
    return {
      engine: target.engine,
      cli: target.cli,
      status: reason === '' ? 'pass' : 'fail',
      seconds: (performance.now() - start) / 1000,
      reason,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function contentError(out: string, nonce: string): string {
  const expected = {
    sum: `${createHash('sha256').update(`bedplate ${nonce}\n`).digest('hex')}  -\n`,
    nonce: `${nonce}\n`,
    uid: '0\n',
  };
  for (const [name, content] of Object.entries(expected)) {
    const path = join(out, name);
    if (!existsSync(path)) return `the build's output has no ${name}`;
    const found = readFileSync(path, 'utf8');
    if (found !== content)
      return `the build's output ${name} is ${JSON.stringify(found)}, expected ${JSON.stringify(content)}`;
  }
  return '';
}

/** Throws `smoke` when any of the results is not a pass. */
export function requirePassed(results: readonly SmokeResult[]): void {
  const failed = results.filter(({ status }) => status !== 'pass');
  if (failed.length === 0) return;
  const lines = failed.map(({ engine, cli, reason }) => `engine ${engine}, CLI ${cli}: ${reason}`);
  throw new BedplateError(
    'smoke',
    `${failed.length} of ${results.length} smoke builds failed:\n${lines.join('\n')}`,
    'See ./bedplate logs for what the engine says.',
  );
}
