import { describe, expect, test } from '@jest/globals';
import { kvEndpoints } from './kv/endpoints.ts';
import { problemOfReply, retryAfterMsOf } from './problem-reply.ts';

const { get, put, head } = kvEndpoints;
const PROBLEM = { 'content-type': 'application/problem+json' };

const reply = (status: number, headers: Record<string, string> = {}, body = '') => ({
  status,
  headers,
  body: Buffer.from(body),
});

describe('an answer that is no success', () => {
  test('is the problem that it carries, with its members', () => {
    const body = JSON.stringify({ code: 'precondition_failed', detail: 'the key has changed', revision: 7 });
    const problem = problemOfReply(reply(412, PROBLEM, body), put);
    expect(problem).toMatchObject({ code: 'precondition_failed', message: 'the key has changed' });
    expect(problem.members).toEqual({ revision: 7 });
  });

  test('says when to try again by its body, else by its header', () => {
    const body = (retryAfterMs?: number) => JSON.stringify({ code: 'overloaded', detail: 'busy', retryAfterMs });
    const headers = { ...PROBLEM, 'retry-after': '2' };
    expect(problemOfReply(reply(503, headers, body(1_500)), get).retryAfterMs).toBe(1_500);
    expect(problemOfReply(reply(503, headers, body()), get).retryAfterMs).toBe(2_000);
  });

  test.each([
    [404, 'not_found'],
    [412, 'precondition_failed'],
    [418, 'invalid_request'],
    [429, 'overloaded'],
    [500, 'internal'],
    [599, 'internal'],
  ])('without a body, as HEAD answers, %i is %s', (status, code) => {
    expect(problemOfReply(reply(status, PROBLEM), head).code).toBe(code);
  });

  test.each([502, 503, 504])('%i of a gateway leaves open whether a write happened', (status) => {
    expect(problemOfReply(reply(status, {}, '<html>'), put).code).toBe('outcome_unknown');
    expect(problemOfReply(reply(status, {}, '<html>'), get).code).toBe('unavailable');
  });
});

test('Retry-After is seconds or a date, and anything else is nothing', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfterMsOf('3', nowMs)).toBe(3_000);
  expect(retryAfterMsOf('Thu, 01 Jan 2026 00:00:05 GMT', nowMs)).toBe(5_000);
  expect(retryAfterMsOf('Thu, 01 Jan 2025 00:00:05 GMT', nowMs)).toBe(0);
  expect(retryAfterMsOf('soon', nowMs)).toBeUndefined();
  expect(retryAfterMsOf(undefined, nowMs)).toBeUndefined();
});
