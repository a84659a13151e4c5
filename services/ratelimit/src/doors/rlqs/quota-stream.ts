/** One client's stream of reports, which are worked through one after the other. */
import { constants } from 'node:http2';
import type { Call } from '../grpc/call.ts';
import { type Conversation, STOPPING } from '../grpc/grpc-server.ts';
import { GrpcError, RESOURCE_EXHAUSTED, toGrpcError } from '../grpc/status.ts';
import { Malformed } from '../grpc/wire.ts';
import type { Bucket } from './quota-pools.ts';
import type { QuotaService } from './quota-service.ts';
import { type BucketId, decodeReports, type Reports } from './rlqs-codec.ts';

/** Bytes of assignments that wait for a client that does not read. */
const UNREAD_BYTES_MAX = 4 * 1_048_576;

export class QuotaStream implements Conversation {
  domain = '';
  /** By `BucketId.key`. */
  readonly buckets = new Map<string, Bucket>();
  readonly #call: Call;
  readonly #service: QuotaService;
  readonly #waiting: Reports[] = [];
  #isWorking = false;
  #hasFinished = false;

  constructor(call: Call, service: QuotaService) {
    this.#call = call;
    this.#service = service;
  }

  get isOpen(): boolean {
    return !this.#call.hasEnded;
  }

  message(message: Buffer): void {
    const { bucketsPerStreamMax } = this.#service.options;
    const reports = decodeReports(message, bucketsPerStreamMax);
    this.#enterDomain(reports.domain);
    this.#waiting.push(reports);
    // While one is worked on, no more are read than have arrived already.
    if (this.#isWorking) this.#call.stream.pause();
    else void this.#work();
  }

  finished(): void {
    this.#hasFinished = true;
    if (!this.#isWorking) this.#call.finish();
  }

  /** Only who ended its stream in good order stops using what it has: a client of Node ends first what it then resets. */
  closed(): void {
    this.#service.close(this, this.#hasFinished && this.#call.stream.rstCode === constants.NGHTTP2_NO_ERROR);
  }

  drain(): void {
    this.#call.fail(STOPPING);
  }

  send(framed: Buffer): void {
    if (this.#call.send(framed) <= UNREAD_BYTES_MAX) return;
    this.#call.fail(new GrpcError(RESOURCE_EXHAUSTED, 'assignments are not read'));
    this.#call.stream.destroy();
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    try {
      for (let reports = this.#waiting.shift(); reports !== undefined && this.isOpen; reports = this.#waiting.shift()) {
        this.#subscribe(reports);
        await this.#service.report(this, reports.usages);
      }
    } catch (error) {
      this.#call.fail(toGrpcError(error));
    }
    this.#isWorking = false;
    if (this.#hasFinished) this.#call.finish();
    else if (this.isOpen) this.#call.stream.resume();
  }

  #enterDomain(domain: string): void {
    if (this.domain === '' && domain === '') throw new Malformed('the first message has no domain');
    if (this.domain !== '' && domain !== '' && domain !== this.domain) {
      throw new Malformed('the domain changes; open another stream for it');
    }
    this.domain ||= domain;
  }

  /** A bucket's first report is a wish for assignments. */
  #subscribe({ usages }: Reports): void {
    const { bucketsPerStreamMax, nowMs } = this.#service.options;
    const fresh = new Map<string, BucketId>();
    for (const { bucket } of usages) if (!this.buckets.has(bucket.key)) fresh.set(bucket.key, bucket);
    if (this.buckets.size + fresh.size > bucketsPerStreamMax) {
      throw new GrpcError(RESOURCE_EXHAUSTED, `a stream has more than ${bucketsPerStreamMax} buckets`);
    }
    this.#service.addBuckets(fresh.size);
    for (const id of fresh.values()) this.buckets.set(id.key, subscribed(id, this, nowMs()));
  }
}

function subscribed(id: BucketId, owner: QuotaStream, nowMs: number): Bucket {
  const untold = { searchedMs: Number.NEGATIVE_INFINITY, toldMs: Number.NEGATIVE_INFINITY, toldKind: undefined };
  const unmatched = { entries: id.entries, isMatched: false, fixed: undefined, pool: undefined, member: undefined };
  return { id, owner, usedMs: nowMs, reportedMs: nowMs, ...untold, ...unmatched };
}
