/** What went wrong, as a closed set: callers decide by code, never by text. */
export type ErrorCode =
  | 'usage' // the command line is wrong
  | 'config' // bedplate.config.ts is wrong
  | 'lock' // bedplate.lock.json is missing, wrong, or does not fit the config
  | 'input-missing' // a locked input cannot be had
  | 'input-mismatch' // an input has other bytes than the lock says
  | 'tool-missing' // a program this machine lacks
  | 'process' // a program ended with an error
  | 'layout' // an OCI image layout is incomplete or corrupt
  | 'state' // a runner's state folder is busy or unusable
  | 'permission' // not root, or not allowed
  | 'not-found' // no such engine, CLI, image
  | 'runner' // the runner did not come up, or does not answer
  | 'certs' // certificates or keys that are missing, wrong, or in the way
  | 'smoke'; // a smoke build did not do what it should

/** An error that a person can act on: the message names the thing and what happened, `advice` the way out. */
export class BedplateError extends Error {
  readonly code: ErrorCode;
  readonly advice: string;

  constructor(code: ErrorCode, message: string, advice: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'BedplateError';
    this.code = code;
    this.advice = advice;
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
