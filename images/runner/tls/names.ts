import { isIP } from 'node:net';

/** What ends the TLS server names that mean an engine, when nobody has a DNS zone for it. As in docs/spec/runner.md, "TLS". */
export const DEFAULT_TLS_SUFFIX = 'bedplate';

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const NAME = new RegExp(`^${LABEL}(\\.${LABEL})*$`);

/** Whether a text is a DNS name in lower case, without a dot at either end. */
export function isDnsName(text: string): boolean {
  return text.length <= 200 && NAME.test(text);
}

/** Whether the runner can listen at an address: `127.0.0.1:8443`, `[::1]:8443`, or `:8443` for every address of the host. */
export function isListenAddress(text: string): boolean {
  const [, bracketed, plain = '', port] = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const hostIsRight = bracketed === undefined ? plain === '' || isIP(plain) === 4 : isIP(bracketed) === 6;
  return hostIsRight && Number(port) >= 1 && Number(port) <= 65_535;
}

/** What a server's certificate has to name, so that every engine of these kinds can be asked for. */
export function serverNames(kinds: readonly string[], suffix: string, hosts: readonly string[]): readonly string[] {
  const engines = kinds.flatMap((kind) => [`${kind}.${suffix}`, `*.${kind}.${suffix}`]);
  return [...new Set([...hosts, 'localhost', '127.0.0.1', '::1', ...engines])];
}
