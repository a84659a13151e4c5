import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { kv } from './contracts.ts';
import { openApi } from './openapi.ts';
import { type Operation, operationsOf } from './operation.ts';

type Json = Record<string, unknown>;
interface Parameter {
  name: string;
  in: string;
  required: boolean;
  schema: Json;
}
interface OperationObject extends Json {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: Json }> };
  responses: Record<string, { description: string; content?: Json; headers?: Json }>;
}
interface Document extends Json {
  paths: Record<string, Record<string, OperationObject>>;
}

const describeAll = (operations: readonly Operation[]) =>
  // As it goes over the wire: what JSON leaves out is not there.
  JSON.parse(JSON.stringify(openApi({ title: 'Test', version: '1.2.3', operations }))) as Document;
const document = describeAll(kv.OPERATIONS);
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
);

/** Every `$ref` anywhere below. */
function refs(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) =>
    name === '$ref' && typeof member === 'string' ? [member] : refs(member),
  );
}

function resolve(root: unknown, ref: string): unknown {
  const steps = ref.replace(/^#\//, '').split('/');
  return steps.reduce<unknown>(
    (value, step) => (value as Json | undefined)?.[step.replaceAll('~1', '/').replaceAll('~0', '~')],
    root,
  );
}

describe('the document of the key-value store', () => {
  test('is OpenAPI 3.1 with title and version', () => {
    expect(document).toMatchObject({
      openapi: expect.stringMatching(/^3\.1\./),
      info: { title: 'Test', version: '1.2.3' },
    });
  });

  test('has every operation, each with an id of its own', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(ids.toSorted()).toEqual(kv.OPERATIONS.map(({ name }) => name).toSorted());
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('refers only to what is there', () => {
    const all = refs(document);
    expect(all.length).toBeGreaterThan(0);
    for (const ref of all) expect([ref, resolve(document, ref)]).toEqual([ref, expect.anything()]);
  });

  test('declares each parameter of a path, and no other', () => {
    for (const { path, operation } of operations) {
      const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      expect(declared.map(({ name }) => name)).toEqual(inPath);
      expect(declared.every(({ required }) => required)).toBe(true);
      expect(path).not.toContain('{+');
    }
  });

  test('names no parameter twice, and none that OpenAPI ignores', () => {
    for (const { operation } of operations) {
      const keys = (operation.parameters ?? []).map((parameter) => `${parameter.in} ${parameter.name.toLowerCase()}`);
      expect(new Set(keys).size).toBe(keys.length);
      expect(keys).not.toContain('header accept');
      expect(keys).not.toContain('header content-type');
    }
  });

  test('has a description in every answer, and the problems among them', () => {
    for (const { operation } of operations) {
      for (const answer of Object.values(operation.responses)) expect(answer.description).toEqual(expect.any(String));
      expect(operation.responses['400']?.content).toHaveProperty('application/problem+json');
      expect(operation.responses['500']).toBeDefined();
    }
    const { get } = document.paths['/v1/kv/{bucket}/{key}'] as { get: OperationObject };
    expect(get.responses['404']?.description).toContain('`bucket_not_found`');
    expect(get.responses['404']?.description).toContain('`key_not_found`');
  });

  test('has a body where there is one, and none for GET and HEAD', () => {
    for (const { method, operation } of operations) {
      if (method === 'get' || method === 'head') expect(operation.requestBody).toBeUndefined();
    }
    const { post } = document.paths['/v1/kv/{bucket}/{key}:incr'] as { post: OperationObject };
    expect(post.requestBody).toMatchObject({
      required: false,
      content: { 'application/json': { schema: { type: 'object' } } },
    });
    const { put } = document.paths['/v1/kv/{bucket}/{key}'] as { put: OperationObject };
    expect(put.requestBody).toMatchObject({ required: true, content: { 'application/octet-stream': {} } });
  });

  test('describes query parameters by what is sent, not by what it is read as', () => {
    const { get } = document.paths['/v1/kv/{bucket}'] as { get: OperationObject };
    const limit = get.parameters!.find(({ name }) => name === 'limit');
    expect(limit).toMatchObject({
      in: 'query',
      required: false,
      schema: { type: 'string' },
      description: expect.any(String),
    });
  });

  test('tells the subject on the bus, except of streams', () => {
    const { get } = document.paths['/v1/kv/{bucket}/{key}'] as { get: OperationObject };
    expect(get['x-plinth-subject']).toBe('plinth.kv.v1.get');
    const { get: watch } = document.paths['/v1/watch/{bucket}'] as { get: OperationObject };
    expect(watch['x-plinth-subject']).toBeUndefined();
  });
});

describe('a schema that refers to itself', () => {
  const tree: z.ZodType = z.lazy(() => z.strictObject({ children: z.array(tree).optional() })).meta({ id: 'Tree' });
  const operation = operationsOf('trees')({
    name: 'plant',
    summary: 'Plant a tree',
    method: 'POST',
    path: '/v1/trees',
    query: z.strictObject({ must: z.string() }),
    body: { kind: 'json', schema: tree },
    replies: [{ status: 200, description: 'It.', mediaType: 'application/json', schema: tree }],
  });

  test('is moved to the components, where its references lead', () => {
    const planted = describeAll([operation]);
    for (const ref of refs(planted)) expect([ref, resolve(planted, ref)]).toEqual([ref, expect.anything()]);
  });

  test('a parameter that must be there is required', () => {
    expect(describeAll([operation]).paths['/v1/trees']!.post!.parameters).toMatchObject([
      { name: 'must', required: true },
    ]);
  });
});
