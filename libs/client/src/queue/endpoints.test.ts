import { expect, test } from '@jest/globals';
import { queue } from '@plinth/contracts';
import { queueEndpoints } from './endpoints.ts';

test('every operation of the contract is here as it is there, and no other', () => {
  const contract = queue.OPERATIONS.map(({ headers, service, name, method, path, subject, idempotent, streams }) => [
    name,
    {
      ...{ service, name, method, path, subject, idempotent, streams },
      isKeyed: headers.some((header) => header.name === 'Idempotency-Key'),
    },
  ]);
  expect(queueEndpoints).toEqual(Object.fromEntries(contract));
});
