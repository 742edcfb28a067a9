import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, start, tryRun } from '../process.ts';
import { RUNNER_BIN } from './runner-image.ts';
import type { RunnerRecord, RunnerState } from './state.ts';

/** A container as `runc state` has it. */
export interface ContainerState {
  readonly status: 'creating' | 'created' | 'running' | 'paused' | 'stopped';
  readonly pid: number;
}

/** The runc that is inside the runner's own image, on the containers of one state folder. */
export function runc(state: RunnerState, record: Pick<RunnerRecord, 'rootfs'>) {
  const program = join(record.rootfs, RUNNER_BIN, 'runc');
  const base = ['--root', state.runc];
  const pidFile = join(state.bundle, 'pid');
  return {
    /** The container's state, or undefined when there is none. */
    async state(): Promise<ContainerState | undefined> {
      const found = await tryRun(program, [...base, 'state', state.id]);
      return found.exitCode === 0 ? (JSON.parse(found.stdout) as ContainerState) : undefined;
    },
    /** Starts the container and leaves it running. Gives runc's exit code; what it printed is in the log. */
    start: (logFd: number) =>
      start(program, [...base, 'run', '--detach', '--pid-file', pidFile, '--bundle', state.bundle, state.id], logFd)
        .ended,
    /** The host's id of the process that was last started as PID 1, alive or not; 0 when there is none. */
    lastPid: () => (existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0),
    kill: (signal: string) => run(program, [...base, 'kill', state.id, signal]),
    delete: () => run(program, [...base, 'delete', '--force', state.id]),
    /** Runs a program inside the runner, for tests and diagnosis. */
    exec: (args: readonly string[]) => tryRun(program, [...base, 'exec', state.id, ...args]),
  };
}
