import { dirname, isAbsolute, join, resolve } from 'node:path';
import { cacheFolder } from '../images/cache.ts';
import { type Config, loadConfig } from '../images/config.ts';
import { DEFAULT_STATE, type RunnerState, runnerState, stateFolder } from '../images/runner/state.ts';

/** What every command is handed: defaults and the environment, resolved once. */
export interface Context {
  /** The folder of bedplate's own sources. */
  readonly root: string;
  readonly cwd: string;
  readonly cache: string;
  readonly json: boolean;
  readonly config: () => Promise<Config>;
}

export const ROOT = dirname(import.meta.dirname);
const CONFIG_FILE = 'bedplate.config.ts';

export function makeContext(options: { readonly json?: boolean; readonly config?: string }): Context {
  const path = options.config === undefined ? join(ROOT, CONFIG_FILE) : resolve(options.config);
  return {
    root: ROOT,
    cwd: process.cwd(),
    cache: cacheFolder(process.env),
    json: options.json === true,
    config: () => loadConfig(path, options.config ?? CONFIG_FILE),
  };
}

/** The runner that --state, else RUNNER, else the default names. */
export function namedRunner(flag: string | undefined): RunnerState {
  const folder = stateFolder(flag ?? process.env.RUNNER);
  return runnerState(isAbsolute(folder) ? folder : resolve(folder));
}

/** Where `build` and `release` put what they make. */
export function outFolder(flag: string | undefined): string {
  return flag === undefined ? join(ROOT, 'dist') : resolve(flag);
}

/** ` --state <folder>` for a command that is shown to a person, when it is not the default's. */
export function stateFlag(state: RunnerState): string {
  return state.folder === DEFAULT_STATE ? '' : ` --state ${state.folder}`;
}
