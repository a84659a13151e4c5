/** What the lane remembers of a lease beside BullMQ's lock: one short text, which its scripts can read too. */

export interface LeaseRecord {
  /** The value of BullMQ's lock. */
  readonly token: string;
  readonly startedAtMs: number;
  /** When the attempt is over, however often the lease is renewed; 0: never. */
  readonly timeoutAtMs: number;
  readonly group: string;
  readonly worker: string;
  /** Of a job that the lane itself took to end it: why. Whoever finds it after a crash ends it so. */
  readonly purpose: '' | 'expired' | 'cancelled' | 'child';
  /**
   * For `TURN`: how many completed jobs are kept, the attempt, and a `+` when there is a dedup id (`1000:1+`). Absent: the
   * job is completed by BullMQ's script.
   */
  readonly quickly?: string;
}

export function leaseText(record: LeaseRecord): string {
  const { token, startedAtMs, timeoutAtMs, group, worker, purpose, quickly = '' } = record;
  return [
    token,
    startedAtMs,
    timeoutAtMs,
    encodeURIComponent(group),
    encodeURIComponent(worker),
    purpose,
    quickly,
  ].join('|');
}

export function leaseRecord(text: string): LeaseRecord {
  const [token = '', startedAt = '0', timeoutAt = '0', group = '', worker = '', purpose = ''] = text.split('|');
  return {
    token,
    startedAtMs: Number(startedAt),
    timeoutAtMs: Number(timeoutAt),
    group: decodeURIComponent(group),
    worker: decodeURIComponent(worker),
    purpose: purpose as LeaseRecord['purpose'],
  };
}
