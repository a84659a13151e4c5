/** A client of Envoy's protocols that shares no code with the doors: grpc-js, and messages by protobufjs. */
import { Client, credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

/** Fields and numbers as Envoy's API has them, what the doors do not read left out but for one. */
const PROTO = `
syntax = "proto3";
package plinth.test;
message Duration { int64 seconds = 1; int32 nanos = 2; }
message UInt64Value { uint64 value = 1; }
message UInt32Value { uint32 value = 1; }
message HeaderValue { string key = 1; string value = 2; }
message Entry { string key = 1; string value = 2; }
message Override { uint32 requests_per_unit = 1; uint32 unit = 2; }
message Descriptor { repeated Entry entries = 1; Override limit = 2; UInt64Value hits_addend = 3; bool is_negative_hits = 4; }
message RateLimitRequest { string domain = 1; repeated Descriptor descriptors = 2; uint32 hits_addend = 3; string unheard_of = 99; }
message RateLimit { uint32 requests_per_unit = 1; uint32 unit = 2; string name = 3; }
message Status { uint32 code = 1; RateLimit current_limit = 2; uint32 limit_remaining = 3; Duration duration_until_reset = 4; }
message RateLimitResponse {
  uint32 overall_code = 1;
  repeated Status statuses = 2;
  repeated HeaderValue response_headers_to_add = 3;
}
message BucketId { map<string, string> bucket = 1; }
message Usage { BucketId bucket_id = 1; Duration time_elapsed = 2; uint64 num_requests_allowed = 3; uint64 num_requests_denied = 4; }
message UsageReports { string domain = 1; repeated Usage bucket_quota_usages = 2; }
message PerUnit { uint64 requests_per_time_unit = 1; uint32 time_unit = 2; }
message TokenBucket { uint32 max_tokens = 1; UInt32Value tokens_per_fill = 2; Duration fill_interval = 3; }
message Strategy { oneof strategy { uint32 blanket_rule = 1; PerUnit requests_per_time_unit = 2; TokenBucket token_bucket = 3; } }
message Assignment { Duration assignment_time_to_live = 2; Strategy rate_limit_strategy = 3; }
message Abandon {}
message BucketAction { BucketId bucket_id = 1; oneof bucket_action { Assignment quota_assignment_action = 2; Abandon abandon_action = 3; } }
message QuotaResponse { repeated BucketAction bucket_action = 1; }
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse { uint32 status = 1; }
`;

export const types = protobuf.parse(PROTO, { keepCase: true }).root;
const TO_OBJECT = { longs: Number, defaults: true } as const;

export function encode(type: string, value: object): Buffer {
  const found = types.lookupType(`plinth.test.${type}`);
  return Buffer.from(found.encode(found.fromObject(value)).finish());
}

export function decode<T>(type: string, bytes: Buffer): T {
  const found = types.lookupType(`plinth.test.${type}`);
  return found.toObject(found.decode(bytes), TO_OBJECT) as T;
}

export interface RateLimitRequest {
  domain?: string;
  descriptors?: {
    entries?: { key: string; value: string }[];
    limit?: { requests_per_unit: number; unit: number };
    hits_addend?: { value: number };
    is_negative_hits?: boolean;
  }[];
  hits_addend?: number;
  unheard_of?: string;
}

export interface RateLimitResponse {
  overall_code: number;
  statuses: {
    code: number;
    current_limit: { requests_per_unit: number; unit: number; name: string } | null;
    limit_remaining: number;
    duration_until_reset: { seconds: number; nanos: number } | null;
  }[];
  response_headers_to_add: { key: string; value: string }[];
}

export const SHOULD_RATE_LIMIT = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
export const STREAM_QUOTAS = '/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas';

export function grpcClient(port: number): Client {
  return new Client(`127.0.0.1:${port}`, credentials.createInsecure());
}

const bytesOf = (bytes: Buffer) => bytes;

export interface CallOptions {
  metadata?: Metadata;
  deadlineMs?: number;
}

/** A unary call of any message. @throws ServiceError */
export function call(
  client: Client,
  path: string,
  request: Buffer,
  options: CallOptions & { metadata: Metadata },
): Promise<Buffer> {
  const { metadata, deadlineMs = 10_000 } = options;
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + deadlineMs;
    client.makeUnaryRequest(path, bytesOf, bytesOf, request, metadata, { deadline }, (error, answer) =>
      error ? reject(error) : resolve(answer!),
    );
  });
}

export type { ServiceError };

/** Entries of one descriptor: `entriesOf({ user: 'alice' })`. */
export const entriesOf = (pairs: Record<string, string>) =>
  Object.entries(pairs).map(([key, value]) => ({ key, value }));
