/** The operations of the key-value store, as a caller needs them. */
import { endpointsOf } from '../endpoint.ts';

const endpoint = endpointsOf('kv');

const KEY = '/v1/kv/{bucket}/{+key}';
const KEYS = '/v1/kv/{bucket}';
const KEYED = { isKeyed: true };
const BUCKET = '/v1/buckets/{bucket}';

export const kvEndpoints = {
  get: endpoint('get', `GET ${KEY}`),
  head: endpoint('head', `HEAD ${KEY}`),
  put: endpoint('put', `PUT ${KEY}`, KEYED),
  delete: endpoint('delete', `DELETE ${KEY}`, KEYED),
  patch: endpoint('patch', `PATCH ${KEY}`, { ...KEYED, idempotent: true }),
  incr: endpoint('incr', `POST ${KEY}:incr`, KEYED),
  touch: endpoint('touch', `POST ${KEY}:touch`, { ...KEYED, idempotent: true }),
  list: endpoint('list', `GET ${KEYS}`),
  deleteRange: endpoint('deleteRange', `DELETE ${KEYS}`, KEYED),
  batch: endpoint('batch', `POST ${KEYS}:batch`, KEYED),
  txn: endpoint('txn', `POST ${KEYS}:txn`, KEYED),
  watch: endpoint('watch', 'GET /v1/watch/{bucket}', { streams: true }),
  changes: endpoint('changes', `GET ${KEYS}:changes`),
  listBuckets: endpoint('listBuckets', 'GET /v1/buckets'),
  getBucket: endpoint('getBucket', `GET ${BUCKET}`),
  putBucket: endpoint('putBucket', `PUT ${BUCKET}`),
  deleteBucket: endpoint('deleteBucket', `DELETE ${BUCKET}`),
  export: endpoint('export', `GET ${KEYS}:export`, { streams: true }),
  import: endpoint('import', `POST ${KEYS}:import`, { streams: true, idempotent: true }),
  compact: endpoint('compact', `POST ${KEYS}:compact`, { idempotent: true }),
  listSnapshots: endpoint('listSnapshots', 'GET /v1/snapshots'),
  createSnapshot: endpoint('createSnapshot', 'POST /v1/snapshots', { isKeyed: true }),
  deleteSnapshot: endpoint('deleteSnapshot', 'DELETE /v1/snapshots/{id}'),
  restoreSnapshot: endpoint('restoreSnapshot', 'POST /v1/snapshots/{id}:restore', { idempotent: true }),
} as const;
