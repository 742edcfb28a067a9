import { Listr, ListrLogger, PRESET_TIMER, ProcessOutput } from 'listr2';
import type { StepRunner } from '../images/build.ts';
import type { StepRecord } from '../release/local/record.ts';

/** Steps with their times: a live line each on a terminal, plain lines elsewhere, nothing with --json. All on standard error. */
export interface Progress {
  readonly step: StepRunner;
  readonly steps: readonly StepRecord[];
}

export function makeProgress(options: { readonly silent: boolean }): Progress {
  const steps: StepRecord[] = [];
  const live = process.stderr.isTTY === true && process.env.CI === undefined;
  const step: StepRunner = async <T extends { readonly cached: boolean }>(name: string, work: () => Promise<T>) => {
    const start = performance.now();
    const results: T[] = [];
    const tasks = new Listr(
      [
        {
          title: name,
          task: async (_, task) => {
            const result = await work();
            results.push(result);
            if (result.cached) task.title = `${name} (unchanged)`;
          },
        },
      ],
      rendering(options.silent, live),
    );
    await tasks.run();
    const result = results[0];
    if (result === undefined) throw new TypeError(`step ${name} gave no result`);
    steps.push({ name, seconds: (performance.now() - start) / 1000, cached: result.cached });
    return result;
  };
  return { step, steps };
}

function rendering(silent: boolean, live: boolean) {
  if (silent) return { renderer: 'silent' } as const;
  const logger = new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) });
  return live
    ? ({ renderer: 'default', rendererOptions: { timer: PRESET_TIMER, logger } } as const)
    : ({ renderer: 'simple', rendererOptions: { timer: PRESET_TIMER, logger } } as const);
}
