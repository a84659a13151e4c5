import { expect, test } from '@jest/globals';
import { openMemoryStore } from './memory-store.ts';
import { storeContract } from './store.contract.ts';

storeContract('MemoryStore', async () => {
  const store = openMemoryStore();
  return { store, dispose: () => store.close() };
});

test('a memory store has nothing to copy and says so', async () => {
  await expect(openMemoryStore().copyTo('/nowhere')).rejects.toThrow(/nothing on disk/);
});
