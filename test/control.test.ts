import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BAKED, bootRunner, callControl, ROOT, type TestRunner } from './harness.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly example: string;
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly responses: Readonly<Record<string, { content: Record<string, unknown> }>>;
}
const file = JSON.parse(readFileSync(join(ROOT, 'docs/spec/control.openapi.json'), 'utf8')) as {
  paths: Record<string, Record<string, Operation>>;
};
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(file, 'file');

let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('control');
});
afterAll(() => runner.down());

/** The operation's path with its parameters' examples, or others. */
function pathOf(path: string, operation: Operation, values: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams();
  let filled = path;
  for (const parameter of operation.parameters ?? []) {
    const value = values[parameter.name] ?? parameter.example;
    if (parameter.in === 'path') filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else query.set(parameter.name, value);
  }
  return query.size === 0 ? filled : `${filled}?${query}`;
}

const operations = Object.entries(file.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

async function check(operationId: string, values: Readonly<Record<string, string>>): Promise<number> {
  const found = operations.find((o) => o.operation.operationId === operationId);
  if (found === undefined) throw new Error(`the file has no ${operationId}`);
  const { path, method, operation } = found;
  const answer = await callControl(runner.state, method, pathOf(path, operation, values));
  const described = operation.responses[answer.status];
  expect(described, `${operationId}: status ${answer.status} is not described: ${answer.text}`).toBeDefined();
  expect(Object.keys(described?.content ?? {})).toContain(answer.type);
  if (answer.type === 'application/json') {
    const pointer = ['paths', path, method, 'responses', String(answer.status), 'content', answer.type, 'schema'];
    const ref = `file#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    const valid = ajv.compile({ $ref: ref });
    valid(JSON.parse(answer.text));
    expect(valid.errors ?? [], `${operationId}: ${answer.text}`).toEqual([]);
  }
  return answer.status;
}

test.each(operations.map((o) => o.operation.operationId))(
  '%s answers as the OpenAPI file says',
  async (operationId) => {
    // An image that was unpacked, of an engine that has stopped.
    const unpacked = operationId === 'pruneImage';
    if (unpacked) for (const id of ['startEngine', 'stopEngine']) await check(id, { version: '0.29.0' });
    const values = { version: unpacked ? '0.29.0' : BAKED, line: '0.29', range: '^0.29' };
    expect(await check(operationId, values)).toBe(200);
  },
);

test('what is not there, and what cannot be, as the OpenAPI file says', async () => {
  expect(await check('startEngine', { version: '9.9.9' })).toBe(404);
  expect(await check('stopEngine', { version: '9.9.9' })).toBe(404);
  expect(await check('pruneLine', { line: '9.9' })).toBe(404);
  expect(await check('resolve', { range: '9.9' })).toBe(404);
  expect(await check('resolve', { range: 'newest' })).toBe(400);
  expect(await check('startEngine', { version: BAKED })).toBe(200);
  expect(await check('pruneLine', { line: '0.34' })).toBe(409);
  expect(await check('pruneImage', { version: '9.9.9' })).toBe(404);
  expect(await check('startEngine', { version: '0.29.0' })).toBe(200);
  expect(await check('pruneImage', { version: '0.29.0' })).toBe(409);
});

test('metrics count what happened', async () => {
  await check('startEngine', { version: BAKED });
  const { text } = await callControl(runner.state, 'GET', '/metrics');
  const value = (series: string) =>
    Number(
      text
        .split('\n')
        .find((row) => row.startsWith(`${series} `))
        ?.split(' ')[1],
    );
  const labels = `{kind="buildkit",version="${BAKED}"}`;
  expect(value(`bedplate_engine_running${labels}`)).toBe(1);
  expect(value(`bedplate_engine_connections${labels}`)).toBe(0);
  expect(value(`bedplate_engine_starts_total{kind="buildkit",result="ok",version="${BAKED}"}`)).toBeGreaterThan(0);
  expect(value(`bedplate_engine_start_seconds_count${labels}`)).toBeGreaterThan(0);
  expect(value('bedplate_state_line_bytes{kind="buildkit",line="0.34"}')).toBeGreaterThan(0);
  expect(value('bedplate_containerd_restarts_total')).toBe(0);
  expect(value('bedplate_disk_free_bytes')).toBeGreaterThan(value('bedplate_disk_floor_bytes'));
});
