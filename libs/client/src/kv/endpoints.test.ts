import { expect, test } from '@jest/globals';
import { kv } from '@plinth/contracts';
import { kvEndpoints } from './endpoints.ts';

test('every operation of the contract is here as it is there, and no other', () => {
  const contract = kv.OPERATIONS.map(({ headers, service, name, method, path, subject, idempotent, streams }) => [
    name,
    {
      ...{ service, name, method, path, subject, idempotent, streams },
      isKeyed: headers.some((header) => header.name === 'Idempotency-Key'),
    },
  ]);
  expect(kvEndpoints).toEqual(Object.fromEntries(contract));
});
