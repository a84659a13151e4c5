/**
 * Every kind of problem the suite answers with. `docs/problems.md` describes each for users; `problem.test.ts` keeps
 * the two equal, both ways.
 *
 * `retryable` speaks of the same request sent again unchanged: `safe` says the operation did not happen and may
 * succeed later; `unknown` says it may have happened, so repeat it only with its `Idempotency-Key`.
 */
export interface ProblemKind {
  status: number;
  title: string;
  retryable: 'no' | 'safe' | 'unknown';
}

export const PROBLEM_KINDS = {
  // The request itself.
  invalid_request: { status: 400, title: 'The request is malformed', retryable: 'no' },
  invalid_key: { status: 400, title: 'The key is not legal', retryable: 'no' },
  invalid_ttl: { status: 400, title: 'The time to live is not legal', retryable: 'no' },
  invalid_precondition: { status: 400, title: 'The precondition is malformed', retryable: 'no' },
  invalid_cursor: { status: 400, title: 'The cursor does not belong to this request', retryable: 'no' },
  unauthenticated: { status: 401, title: 'The request has no API key that is known', retryable: 'no' },
  forbidden: { status: 403, title: 'The API key may not do this', retryable: 'no' },
  foreign_origin: { status: 403, title: 'Requests from this host or origin are refused', retryable: 'no' },
  not_found: { status: 404, title: 'There is nothing at this address', retryable: 'no' },
  key_not_found: { status: 404, title: 'The key does not exist', retryable: 'no' },
  bucket_not_found: { status: 404, title: 'The bucket does not exist', retryable: 'no' },
  limit_not_found: { status: 404, title: 'There is no limit of this name', retryable: 'no' },
  rules_not_found: { status: 404, title: 'The domain has no rules here', retryable: 'no' },
  snapshot_not_found: { status: 404, title: 'The snapshot does not exist', retryable: 'no' },
  queue_not_found: { status: 404, title: 'The queue does not exist', retryable: 'no' },
  job_not_found: { status: 404, title: 'The job does not exist', retryable: 'no' },
  schedule_not_found: { status: 404, title: 'The schedule does not exist', retryable: 'no' },
  push_not_found: { status: 404, title: 'The queue sends its jobs nowhere', retryable: 'no' },
  worker_not_found: { status: 404, title: 'The worker is not known', retryable: 'no' },
  method_not_allowed: { status: 405, title: 'This address does not know the method', retryable: 'no' },
  not_acceptable: { status: 406, title: 'None of the accepted media types can be given', retryable: 'no' },
  conflict: { status: 409, title: 'The request conflicts with what is there', retryable: 'no' },
  idempotency_mismatch: { status: 409, title: 'The idempotency key was used for another request', retryable: 'no' },
  lease_lost: { status: 409, title: 'The lease has expired or was given to another', retryable: 'no' },
  revision_compacted: { status: 410, title: 'The revision is no longer kept', retryable: 'no' },
  precondition_failed: { status: 412, title: 'A precondition does not hold', retryable: 'no' },
  value_too_large: { status: 413, title: 'The value is too large', retryable: 'no' },
  body_too_large: { status: 413, title: 'The request body is too large', retryable: 'no' },
  payload_too_large: { status: 413, title: 'The data of a job is too large', retryable: 'no' },
  unsupported_media_type: { status: 415, title: 'The media type is not understood here', retryable: 'no' },
  range_not_satisfiable: { status: 416, title: 'The range lies outside of the value', retryable: 'no' },
  unprocessable: { status: 422, title: 'The request cannot be carried out on this value', retryable: 'no' },
  invalid_rules: { status: 422, title: 'The rules cannot be taken', retryable: 'no' },
  invalid_schema: { status: 422, title: 'The JSON Schema cannot be used', retryable: 'no' },
  schema_mismatch: { status: 422, title: 'The data does not meet the schema of the queue', retryable: 'no' },
  invalid_schedule: { status: 422, title: 'The schedule cannot be kept', retryable: 'no' },
  out_of_bounds: { status: 422, title: 'The result would leave its bounds', retryable: 'no' },
  rate_limited: { status: 429, title: 'A limit has been reached', retryable: 'safe' },
  queue_full: { status: 429, title: 'The queue holds the most it may', retryable: 'safe' },
  // The service's state.
  overloaded: { status: 503, title: 'The service has too much to do', retryable: 'safe' },
  unavailable: { status: 503, title: 'The service cannot do this now', retryable: 'safe' },
  stopping: { status: 503, title: 'The service is stopping', retryable: 'safe' },
  deadline_exceeded: { status: 504, title: 'The deadline passed before the work began', retryable: 'safe' },
  outcome_unknown: { status: 504, title: 'The outcome is not known', retryable: 'unknown' },
  upstream_failed: { status: 502, title: 'The origin did not answer well', retryable: 'safe' },
  quota_exceeded: { status: 507, title: 'The quota of the bucket is used up', retryable: 'no' },
  disk_full: { status: 507, title: 'The disk is full', retryable: 'safe' },
  internal: { status: 500, title: 'A bug in the service', retryable: 'no' },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEM_KINDS;
