import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { newSecret } from './push-target.ts';
import { secretFault, signedHeaders, webhookId } from './signature.ts';

const secretOf = (bytes: number) => `whsec_${randomBytes(bytes).toString('base64')}`;

describe('a signature', () => {
  const call = { id: 'job_q_1', atMs: Date.now(), body: '{"text":"ü € 🦔"}' };

  test('is that of the example in the specification', () => {
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    const example = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', atMs: 1_614_265_330_999, body: '{"test": 2432232314}' };
    expect(signedHeaders(example, [secret])).toEqual({
      'webhook-id': example.id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  test('is taken by a receiver that knows any of the secrets, and by no other', () => {
    const secrets = [newSecret(), secretOf(24), secretOf(64)];
    const headers = { ...signedHeaders(call, secrets) } as Record<string, string>;
    expect(headers['webhook-signature']!.split(' ')).toHaveLength(3);
    for (const secret of secrets) {
      expect(new Webhook(secret).verify(call.body, headers)).toEqual({ text: 'ü € 🦔' });
    }
    expect(() => new Webhook(newSecret()).verify(call.body, headers)).toThrow('No matching signature');
    expect(() => new Webhook(secrets[0]!).verify(`${call.body} `, headers)).toThrow('No matching signature');
    const other = { ...headers, 'webhook-id': 'job_q_2' };
    expect(() => new Webhook(secrets[0]!).verify(call.body, other)).toThrow('No matching signature');
  });

  test('is left out when there is no secret', () => {
    expect(Object.keys(signedHeaders(call, []))).toEqual(['webhook-id', 'webhook-timestamp']);
  });
});

describe('a secret', () => {
  test.each([24, 32, 64])('of %d bytes is one', (bytes) => {
    expect(secretFault(secretOf(bytes))).toBeUndefined();
  });

  test.each([
    [secretOf(23), 'a secret of 23 bytes; 24 to 64 are needed'],
    [secretOf(65), 'a secret of 65 bytes; 24 to 64 are needed'],
    ['whsec_', 'a secret of 0 bytes; 24 to 64 are needed'],
    [randomBytes(32).toString('base64'), 'a secret begins with whsec_'],
    ['whsec_not/base64!', 'a secret is base64 behind whsec_'],
  ])('%j is none', (secret, fault) => {
    expect(secretFault(secret)).toBe(fault);
  });
});

test('the id of a call has no full stop, and parts queues', () => {
  expect(webhookId('job', 'mail.eu', '1z')).toBe('job_mail~eu_1z');
});
