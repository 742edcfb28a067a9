/**
 * The one module that starts processes, on zx. Nothing else in the repo may import zx or node:child_process (a lint rule).
 */
import { spawn } from 'node:child_process';
import { $ as zx } from 'zx';
import { BedplateError } from './error.ts';

/** How to run a program. `env` replaces the whole environment when it is given. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  readonly timeoutMs?: number;
  /** Called with each line of standard error as it comes, for progress. */
  readonly onStderrLine?: (line: string) => void;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end and gives back what it printed, whatever its exit code (128+n after signal n). */
export async function tryRun(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = zx({
    quiet: true,
    nothrow: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { PATH: process.env.PATH ?? '', ...options.env } }),
    ...(options.input === undefined ? {} : { input: Buffer.from(options.input) }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
  })`${command} ${[...args]}`;
  const { onStderrLine } = options;
  if (onStderrLine !== undefined) {
    let rest = '';
    child.stderr.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onStderrLine(line);
    });
  }
  const output = await child;
  return { exitCode: output.exitCode ?? 1, stdout: output.stdout, stderr: output.stderr };
}

/** Runs a program that has to succeed. Throws `process` with its last lines, or `tool-missing` when there is no such program. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await tryRun(command, args, options);
  if (result.exitCode === 0) return result;
  const shown = [command, ...args.slice(0, 3)].join(' ');
  if (result.exitCode === 127) {
    throw new BedplateError(
      'tool-missing',
      `${command}: no such program on PATH`,
      `Install ${command}, or run ./bedplate doctor to see everything that is missing.`,
    );
  }
  const tail = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-12).join('\n');
  throw new BedplateError(
    'process',
    `${shown}: exit code ${result.exitCode}\n${tail}`,
    'The lines above are its own; mend what they name and run the same command again.',
  );
}

/** Runs a program on this terminal: its input and output are ours. Gives its exit code. */
export function runAttached(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: 'inherit', env: { ...env } });
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    process.on('SIGINT', forward).on('SIGTERM', forward);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGINT', forward).off('SIGTERM', forward);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 143));
    });
  });
}

/** A program that was started and not waited for. */
export interface Started {
  readonly pid: number;
  /** Its exit code, 1 when a signal ended it. Rejects when it could not be started. */
  readonly ended: Promise<number>;
  readonly kill: (signal: NodeJS.Signals) => void;
}

/** Starts a program that outlives this one: in a session of its own, with standard output and error in an open file. Gives its process id. */
export function startDetached(command: string, args: readonly string[], logFd: number): number {
  const child = spawn(command, [...args], { stdio: ['ignore', logFd, logFd], detached: true });
  child.on('error', () => undefined); // who needs it notices that it does not do its work
  child.unref();
  return child.pid ?? 0;
}

/** Starts a program without input, with standard output and error in an open file. */
export function start(command: string, args: readonly string[], logFd: number): Started {
  const child = spawn(command, [...args], { stdio: ['ignore', logFd, logFd] });
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
  return { pid: child.pid ?? 0, ended, kill: (signal) => child.kill(signal) };
}
