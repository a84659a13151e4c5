/** OpenAPI 3.1 from operations: https://spec.openapis.org/oas/v3.1.1.html. What `/openapi.json` answers. */
import { PROBLEM_KINDS, PROBLEM_MEDIA_TYPE, type ProblemCode } from '@plinth/problem';
import { z } from 'zod';
import {
  type BodyContract,
  type HeaderContract,
  type Operation,
  PROBLEMS_OF_ALL,
  type ReplyContract,
} from './operation.ts';

type Json = Record<string, unknown>;

export interface OpenApiOptions {
  title: string;
  version: string;
  operations: readonly Operation[];
  /** Callers need an API key. */
  isGuarded?: boolean;
}

/** Headers that OpenAPI takes from the media types and ignores as parameters. */
const IMPLIED_HEADERS = ['accept', 'content-type', 'authorization'];

/**
 * Describes operations: parameters, headers, bodies, replies and problems.
 *
 * A `{+name}` becomes `{name}`, since OpenAPI has no word for a parameter with slashes; the template as it is stands in
 * `x-plinth-path`. Cost: about 20 ms for 25 operations, so keep the result.
 */
export function openApi({ title, version, operations, isGuarded = false }: OpenApiOptions): Json {
  const schemas = new SchemaWriter();
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const path = operation.path.replaceAll('{+', '{');
    paths[path] ??= {};
    paths[path][operation.method.toLowerCase()] = operationObject(operation, schemas);
  }
  return {
    openapi: '3.1.1',
    info: { title, version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths,
    // One of them is enough.
    ...(isGuarded && { security: Object.keys(SECURITY_SCHEMES).map((name) => ({ [name]: [] })) }),
    components: {
      schemas: { Problem: PROBLEM_SCHEMA, ...schemas.named },
      ...(isGuarded && { securitySchemes: SECURITY_SCHEMES }),
    },
  };
}

const SECURITY_SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer' },
  apiKey: { type: 'apiKey', in: 'header', name: 'Api-Key' },
};

/** RFC 9457 with our members. */
const PROBLEM_SCHEMA = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail', 'retryable'],
  properties: {
    type: { type: 'string', format: 'uri' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', enum: Object.keys(PROBLEM_KINDS) },
    detail: { type: 'string' },
    retryable: { type: 'string', enum: ['no', 'safe', 'unknown'] },
    instance: { type: 'string', description: 'The id of the request.' },
    retryAfterMs: { type: 'integer' },
    issues: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'message'],
        properties: { path: { type: 'string', description: 'A JSON Pointer.' }, message: { type: 'string' } },
      },
    },
  },
};

function operationObject(operation: Operation, schemas: SchemaWriter): Json {
  const parameters = [
    ...pathParameters(operation),
    ...queryParameters(operation, schemas),
    ...headerParameters(operation),
  ];
  return {
    operationId: operation.name,
    summary: operation.summary,
    tags: [operation.service],
    ...describeImplied(operation),
    ...(parameters.length > 0 && { parameters }),
    ...(operation.body.kind !== 'none' && { requestBody: requestBody(operation.body, schemas) }),
    responses: { ...replies(operation.replies, schemas), ...problems(operation) },
    ...(operation.open && { security: [] }),
    'x-plinth-path': operation.path,
    'x-plinth-subject': operation.streams ? undefined : operation.subject,
    'x-plinth-idempotent': operation.idempotent,
  };
}

function pathParameters({ path }: Operation): Json[] {
  return [...path.matchAll(/\{(\+?)(\w+)\}/g)].map(([, rest, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
    ...(rest && { allowReserved: true, description: 'The rest of the path: slashes stand for themselves.' }),
  }));
}

function queryParameters({ query }: Operation, schemas: SchemaWriter): Json[] {
  const { properties = {}, required = [] } = schemas.write(query, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description !== undefined && { description }),
    schema,
  }));
}

function headerParameters({ headers }: Operation): Json[] {
  return headers
    .filter(({ name }) => !IMPLIED_HEADERS.includes(name.toLowerCase()))
    .map(({ name, description }) => ({ name, in: 'header', required: false, description, schema: { type: 'string' } }));
}

/** What OpenAPI would ignore as a parameter is said in words. */
function describeImplied({ headers }: Operation): Json {
  const implied = headers.filter(({ name }) => IMPLIED_HEADERS.includes(name.toLowerCase()));
  if (implied.length === 0) return {};
  return { description: implied.map(({ name, description }) => `\`${name}\`: ${description}`).join('\n\n') };
}

function requestBody(body: Exclude<BodyContract, { kind: 'none' }>, schemas: SchemaWriter): Json {
  if (body.kind === 'json') {
    const schema = schemas.write(body.schema, 'input');
    const mediaTypes = ['application/json', ...(body.mediaTypes ?? [])];
    const isOptional = body.schema._zod.optin !== undefined;
    return { required: !isOptional, content: Object.fromEntries(mediaTypes.map((type) => [type, { schema }])) };
  }
  const mediaType = body.kind === 'stream' ? body.mediaType : 'application/octet-stream';
  const { description } = body;
  return { ...(description && { description }), required: true, content: { [mediaType]: { schema: {} } } };
}

function replies(contracts: readonly ReplyContract[], schemas: SchemaWriter): Json {
  return Object.fromEntries(
    contracts.map(({ status, description, mediaType, schema, headers = [] }) => [
      String(status),
      {
        description,
        ...(headers.length > 0 && { headers: headerObjects(headers) }),
        ...(mediaType && { content: { [mediaType]: { schema: schema ? schemas.write(schema, 'output') : {} } } }),
      },
    ]),
  );
}

function headerObjects(headers: readonly HeaderContract[]): Json {
  return Object.fromEntries(
    headers.map(({ name, description }) => [name, { description, schema: { type: 'string' } }]),
  );
}

/** One answer a status; the codes that share it are listed in its words. */
function problems(operation: Operation): Json {
  const byStatus = Map.groupBy(codesOf(operation), (code) => PROBLEM_KINDS[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.map((code) => `\`${code}\`: ${PROBLEM_KINDS[code].title}.`).join(' '),
        content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

function codesOf({ problems }: Operation): ProblemCode[] {
  return [...new Set<ProblemCode>([...PROBLEMS_OF_ALL, ...problems])];
}

/** JSON Schemas of zod's, with what zod names or refers to twice moved to where OpenAPI wants it. */
class SchemaWriter {
  readonly named: Json = {};

  write(schema: z.ZodType, io: 'input' | 'output'): Json {
    const { $schema, $defs, ...written } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json;
    for (const [name, definition] of Object.entries(($defs as Json | undefined) ?? {}))
      this.named[name] = moved(definition);
    return moved(written) as Json;
  }
}

function moved(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(moved);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      name === '$ref' && typeof member === 'string'
        ? member.replace('#/$defs/', '#/components/schemas/')
        : moved(member),
    ]),
  );
}
