/**
 * Attributes of spans around messages, as the semantic conventions 1.44 name them (status: development):
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
import type { Attributes } from '@opentelemetry/api';

export interface MessageFacts {
  /** `nats`, `bullmq`, `websocket`, … */
  system: string;
  /** The verb in the system's own words: `request`, `publish`, `process`, `add`. The span's name begins with it. */
  operation: string;
  type: 'create' | 'send' | 'receive' | 'process' | 'settle';
  /** The subject, queue or room as it is. */
  destination: string;
  /** With placeholders instead of ids, when the destination carries ids: `chat.room.*`. */
  template?: string;
  /** The queue group or durable consumer that shares the messages. */
  group?: string;
  messageId?: string;
  bodyBytes?: number;
  /** Only where the span stands for more than one message. */
  batchCount?: number;
}

/** The span's name and attributes: `process plinth.kv.v1.get`. */
export function messagingAttributes(facts: MessageFacts): { name: string; attributes: Attributes } {
  const attributes: Attributes = {
    'messaging.system': facts.system,
    'messaging.operation.name': facts.operation,
    'messaging.operation.type': facts.type,
    'messaging.destination.name': facts.destination,
  };
  if (facts.template !== undefined) attributes['messaging.destination.template'] = facts.template;
  if (facts.group !== undefined) attributes['messaging.consumer.group.name'] = facts.group;
  if (facts.messageId !== undefined) attributes['messaging.message.id'] = facts.messageId;
  if (facts.bodyBytes !== undefined) attributes['messaging.message.body.size'] = facts.bodyBytes;
  if (facts.batchCount !== undefined) attributes['messaging.batch.message_count'] = facts.batchCount;
  return { name: `${facts.operation} ${facts.template ?? facts.destination}`, attributes };
}
