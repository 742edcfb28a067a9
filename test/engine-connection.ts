import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

/** A gRPC connection to an engine's socket, of this process. */
export interface EngineConnection {
  /** Asks the engine which version it is: BuildKit's Control.Info. */
  version(): Promise<string>;
  close(): Promise<void>;
}

/** Opens a connection; it waits for the engine to start when that does not run. */
export function connectEngine(socket: string): EngineConnection {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(socket) });
  const failed = new Promise<never>((_, reject) => session.on('error', reject));
  // Whoever asks is told; nobody may be asking.
  failed.catch(() => {});
  const call = (path: string) =>
    new Promise<Buffer>((resolve, reject) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const chunks: Buffer[] = [];
      let status: unknown;
      stream.on('response', (headers) => {
        status = headers['grpc-status'];
      });
      stream.on('trailers', (headers) => {
        status = headers['grpc-status'];
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('close', () =>
        status === '0' ? resolve(Buffer.concat(chunks)) : reject(new Error(`${path}: ${status}`)),
      );
      stream.end(EMPTY_MESSAGE);
    });
  return {
    version: async () => {
      const answer = (await Promise.race([call('/moby.buildkit.v1.Control/Info'), failed])).toString('latin1');
      return /v(\d+\.\d+\.\d+)/.exec(answer)?.[1] ?? answer;
    },
    close: () => new Promise((resolve) => session.close(resolve)),
  };
}

/** gRPC's framing of a message without any field: not compressed, 0 bytes long. */
const EMPTY_MESSAGE = Buffer.alloc(5);
