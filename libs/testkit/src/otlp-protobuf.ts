/**
 * Reads OTLP trace requests in protobuf, by hand.
 *
 * A request is a tree of few message kinds, so a table of field numbers and a reader of the wire format are shorter
 * than a generated decoder. Only what tests look at is read; unknown fields are skipped. The numbers are those of
 * opentelemetry/proto/{collector/trace,trace,common,resource}/v1.
 */

/** What the JSON encoding of OTLP looks like after parsing, with ids in hex; both encodings are turned into this. */
export type OtlpMessage = { [name: string]: OtlpValue | OtlpValue[] };
type OtlpValue = string | number | boolean | OtlpMessage;

type Kind = 'string' | 'bytesAsHex' | 'varint' | 'bool' | 'fixed64' | 'double' | Schema;
interface Field {
  name: string;
  kind: Kind;
  repeated?: boolean;
}
interface Schema {
  [number: number]: Field;
}

const anyValue: Schema = {
  1: { name: 'stringValue', kind: 'string' },
  2: { name: 'boolValue', kind: 'bool' },
  3: { name: 'intValue', kind: 'varint' },
  4: { name: 'doubleValue', kind: 'double' },
  7: { name: 'bytesValue', kind: 'bytesAsHex' },
};
anyValue[5] = { name: 'arrayValue', kind: { 1: { name: 'values', kind: anyValue, repeated: true } } };

const keyValue: Schema = { 1: { name: 'key', kind: 'string' }, 2: { name: 'value', kind: anyValue } };
const attributes = { name: 'attributes', kind: keyValue, repeated: true };

const event: Schema = {
  1: { name: 'timeUnixNano', kind: 'fixed64' },
  2: { name: 'name', kind: 'string' },
  3: attributes,
};
const link: Schema = {
  1: { name: 'traceId', kind: 'bytesAsHex' },
  2: { name: 'spanId', kind: 'bytesAsHex' },
  4: attributes,
};
const status: Schema = { 2: { name: 'message', kind: 'string' }, 3: { name: 'code', kind: 'varint' } };
const span: Schema = {
  1: { name: 'traceId', kind: 'bytesAsHex' },
  2: { name: 'spanId', kind: 'bytesAsHex' },
  3: { name: 'traceState', kind: 'string' },
  4: { name: 'parentSpanId', kind: 'bytesAsHex' },
  5: { name: 'name', kind: 'string' },
  6: { name: 'kind', kind: 'varint' },
  7: { name: 'startTimeUnixNano', kind: 'fixed64' },
  8: { name: 'endTimeUnixNano', kind: 'fixed64' },
  9: attributes,
  11: { name: 'events', kind: event, repeated: true },
  13: { name: 'links', kind: link, repeated: true },
  15: { name: 'status', kind: status },
};
const scopeSpans: Schema = {
  1: { name: 'scope', kind: { 1: { name: 'name', kind: 'string' }, 2: { name: 'version', kind: 'string' } } },
  2: { name: 'spans', kind: span, repeated: true },
};
const resourceSpans: Schema = {
  1: { name: 'resource', kind: { 1: attributes } },
  2: { name: 'scopeSpans', kind: scopeSpans, repeated: true },
};
const request: Schema = { 1: { name: 'resourceSpans', kind: resourceSpans, repeated: true } };

/** Decodes an ExportTraceServiceRequest. @throws RangeError when it is cut short. */
export function decodeTraceRequest(bytes: Buffer): OtlpMessage {
  return decode(bytes, request);
}

function decode(bytes: Buffer, schema: Schema): OtlpMessage {
  const reader = new WireReader(bytes);
  const message: OtlpMessage = {};
  while (!reader.isAtEnd) {
    const { number, wireType } = reader.tag();
    const field = schema[number];
    const raw = reader.raw(wireType);
    if (field) put(message, field, fieldValue(raw, field.kind));
  }
  return message;
}

function put(message: OtlpMessage, field: Field, value: OtlpValue): void {
  if (!field.repeated) message[field.name] = value;
  else message[field.name] = [...((message[field.name] as OtlpValue[] | undefined) ?? []), value];
}

function fieldValue(raw: bigint | Buffer, kind: Kind): OtlpValue {
  if (typeof raw === 'bigint') return kind === 'bool' ? raw !== 0n : Number(BigInt.asIntN(64, raw));
  if (kind === 'string') return raw.toString('utf8');
  if (kind === 'bytesAsHex') return raw.toString('hex');
  // Nanoseconds since 1970 do not fit a double, so they stay text, as in OTLP's JSON.
  if (kind === 'fixed64') return raw.readBigUInt64LE().toString();
  if (kind === 'double') return raw.readDoubleLE();
  if (typeof kind === 'object') return decode(raw, kind);
  throw new RangeError(`a ${kind} cannot have this wire type`);
}

/** Protobuf's wire format: https://protobuf.dev/programming-guides/encoding. */
class WireReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  tag(): { number: number; wireType: number } {
    const tag = Number(this.#varint());
    return { number: tag >>> 3, wireType: tag & 7 };
  }

  /** A varint as a number; all else as its bytes. */
  raw(wireType: number): bigint | Buffer {
    if (wireType === 0) return this.#varint();
    if (wireType === 1) return this.#take(8);
    if (wireType === 2) return this.#take(Number(this.#varint()));
    if (wireType === 5) return this.#take(4);
    throw new RangeError(`unknown wire type ${wireType}`);
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#take(1)[0] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  #take(count: number): Buffer {
    const end = this.#offset + count;
    if (end > this.#bytes.length) throw new RangeError('the message is cut short');
    const taken = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }
}
