import { request } from 'node:http';
import { join } from 'node:path';
import { BedplateError } from '../error.ts';
import type { RunnerState } from './state.ts';

/** An engine as the control API shows it: docs/spec/runner.md. */
export interface EngineStatus {
  readonly kind: string;
  readonly version: string;
  readonly default: boolean;
  readonly source: 'baked' | 'local';
  readonly state: 'stopped' | 'starting' | 'running' | 'stopping';
  /** As the runner sees it: below /run/bedplate. */
  readonly socket: string;
  readonly connections: number;
  readonly pid: number;
  readonly startedAt: string;
  readonly startMs: number;
  readonly lastError: string;
  /** Failed starts and early deaths in a row. */
  readonly failures: number;
  readonly stateLine: string;
  /** While starting: the engine that holds the state line. */
  readonly waitingFor: string;
  /** Its state ends with it. */
  readonly temporary: boolean;
}

/** A state line as the control API shows it. */
export interface LineStatus {
  readonly kind: string;
  readonly line: string;
  readonly holder: string;
  readonly waiting: readonly string[];
  readonly versions: readonly string[];
  readonly bytes: number;
  readonly lastUsedAt: string;
}

/** An engine image that has been unpacked, as the control API shows it. */
export interface ImageStatus {
  readonly kind: string;
  readonly version: string;
  readonly bytes: number;
  readonly lastUsedAt: string;
}

/** The file system of the state folder, as the control API shows it. */
export interface DiskStatus {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** What is to be free. */
  readonly floorBytes: number;
  /** What state lines and engine images may take together. */
  readonly budgetBytes: number;
  readonly usedBytes: number;
  readonly full: boolean;
}

export interface EnginesAnswer {
  readonly runner: {
    readonly version: string;
    readonly startedAt: string;
    readonly containerd: { readonly version: string; readonly pid: number };
  };
  readonly engines: readonly EngineStatus[];
}

/** A client of the control API on a state folder's control.sock. */
export function controlClient(state: RunnerState) {
  const socketPath = join(state.run, 'control.sock');
  return {
    /** Whether the runner is ready, and why not. */
    async ready(): Promise<{ ready: boolean; reason: string }> {
      try {
        const { body } = await call(socketPath, 'GET', '/readyz');
        const answer = body as { ready: boolean; reason?: string };
        return { ready: answer.ready, reason: answer.reason ?? '' };
      } catch (error) {
        return { ready: false, reason: (error as Error).message };
      }
    },
    async engines(): Promise<EnginesAnswer> {
      return (await expectOk(socketPath, 'GET', '/v1/engines')) as EnginesAnswer;
    },
    async lines(): Promise<readonly LineStatus[]> {
      return ((await expectOk(socketPath, 'GET', '/v1/lines')) as { lines: LineStatus[] }).lines;
    },
    /** Removes what a state line has on disk; refused while an engine holds it. */
    async prune(kind: string, line: string): Promise<void> {
      await expectOk(socketPath, 'DELETE', `/v1/lines/${encodeURIComponent(kind)}/${encodeURIComponent(line)}`);
    },
    async images(): Promise<readonly ImageStatus[]> {
      return ((await expectOk(socketPath, 'GET', '/v1/images')) as { images: ImageStatus[] }).images;
    },
    /** Removes an unpacked engine image; refused while its engine runs. */
    async pruneImage(kind: string, version: string): Promise<void> {
      await expectOk(socketPath, 'DELETE', `/v1/images/${encodeURIComponent(kind)}/${encodeURIComponent(version)}`);
    },
    async disk(): Promise<DiskStatus> {
      return (await expectOk(socketPath, 'GET', '/v1/disk')) as DiskStatus;
    },
    /** Returns when it serves; the error says why it does not. */
    async start(kind: string, version: string): Promise<EngineStatus> {
      return (await expectOk(socketPath, 'POST', `/v1/engines/${kind}/${version}/start`)) as EngineStatus;
    },
    async stop(kind: string, version: string): Promise<EngineStatus> {
      return (await expectOk(socketPath, 'POST', `/v1/engines/${kind}/${version}/stop`)) as EngineStatus;
    },
  };
}

/** Where the host sees a socket of the runner. */
export function hostSocket(state: RunnerState, socket: string): string {
  return join(state.run, socket.slice('/run/bedplate/'.length));
}

async function expectOk(socketPath: string, method: string, path: string): Promise<unknown> {
  const { status, body } = await call(socketPath, method, path);
  if (status === 200) return body;
  const error = (body as { error?: { code: string; message: string } }).error;
  throw new BedplateError(
    error?.code === 'not_found' ? 'not-found' : 'runner',
    `${method} ${path}: ${error?.message ?? `status ${status}`}`,
    'See ./bedplate logs.',
  );
}

function call(socketPath: string, method: string, path: string): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const req = request({ socketPath, method, path, timeout: 60_000, agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      res.on('end', () => {
        try {
          resolve({ status: res.statusCode ?? 0, body: JSON.parse(text) });
        } catch {
          reject(
            new BedplateError(
              'runner',
              `${socketPath}: ${method} ${path} gave no JSON: ${text.slice(0, 200)}`,
              'See ./bedplate logs.',
            ),
          );
        }
      });
    });
    req.on('timeout', () => req.destroy(new Error('no answer in 60 s')));
    req.on('error', (cause: NodeJS.ErrnoException) => {
      const missing = cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED';
      const denied = cause.code === 'EACCES';
      const what = missing ? 'no runner is up there' : denied ? 'you may not use this socket' : cause.message;
      const advice = missing
        ? 'Start one with ./bedplate up, or name its state folder with --state or RUNNER.'
        : denied
          ? 'Be root, or in the group that was given to ./bedplate up --socket-group.'
          : 'See ./bedplate logs.';
      reject(new BedplateError(denied ? 'permission' : 'runner', `${socketPath}: ${what}`, advice, { cause }));
    });
    req.end();
  });
}
