import { describe, expect, test } from '@jest/globals';
import * as contracts from './contracts.ts';
import type { Operation } from './operation.ts';

/** Every service's operations, found by their export, so that a new service is held to this by being exported. */
const services = Object.entries(contracts).flatMap(([name, module]) =>
  typeof module === 'object' && 'OPERATIONS' in module
    ? [[name, module.OPERATIONS as readonly Operation[]] as const]
    : [],
);
const all = services.flatMap(([, operations]) => operations);

const repeated = (keys: string[]) => keys.filter((key, index) => keys.indexOf(key) !== index);
/** Two paths that differ only in the names of their parameters are one. */
const shapeOf = ({ method, path }: Operation) => `${method} ${path.replace(/\{(\+?)\w+\}/g, '{$1}')}`;

describe('the operations of all services', () => {
  test('are there', () => {
    expect(services.map(([name]) => name)).toContain('kv');
  });

  test('have subjects, names in their service, and addresses of their own', () => {
    expect(repeated(all.map(({ subject }) => subject))).toEqual([]);
    for (const [, operations] of services) {
      expect(repeated(operations.map(({ name }) => name))).toEqual([]);
      expect(repeated(operations.map(shapeOf))).toEqual([]);
    }
  });

  test.each([
    ['the key-value store', contracts.kv],
    ['the task queue', contracts.queue],
  ])('of %s are all listed', (_, module) => {
    const exported = Object.values(module).filter((value) => typeof value === 'object' && 'subject' in value);
    expect(exported.length).toBe(module.OPERATIONS.length);
  });
});

describe.each(all.map((operation) => [`${operation.service}.${operation.name}`, operation] as const))(
  '%s',
  (_, operation) => {
    test('says what it does and answers', () => {
      expect(operation.summary).toMatch(/^\S.{2,}[^.]$/);
      expect(operation.replies.length).toBeGreaterThan(0);
      for (const { status, description } of operation.replies) {
        expect(status).toBeGreaterThanOrEqual(200);
        expect(status).toBeLessThan(400);
        expect(description).not.toBe('');
      }
    });

    test('has a subject and a path of the house form', () => {
      expect(operation.name).toMatch(/^[a-z][A-Za-z]*$/);
      expect(operation.subject).toBe(`plinth.${operation.service}.v1.${operation.name}`);
      expect(operation.path).toMatch(/^\/v1\/[^?#]*$/);
    });

    test('lists each problem once, and each status of an answer once', () => {
      expect(repeated([...operation.problems])).toEqual([]);
      expect(repeated(operation.replies.map(({ status }) => String(status)))).toEqual([]);
    });

    test('refuses an unknown query parameter', () => {
      expect(operation.query.safeParse({ noSuchParameter: '1' }).success).toBe(false);
    });

    test('is answered within bounds where it is hot', () => {
      if (operation.hot) expect(operation.streams).toBe(false);
    });
  },
);
