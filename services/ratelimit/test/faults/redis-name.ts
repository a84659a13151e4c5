/** A port that leads to a Redis, as a name or a load balancer would: to another one when told so, and not always back. */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

export interface RedisName {
  readonly port: number;
  /** Where connections lead that are made from now on. */
  leadTo(port: number): void;
  /** The next answer is lost, and its connection with it. */
  loseNextAnswer(): void;
  stop(): void;
}

export async function startName(firstPort: number): Promise<RedisName> {
  let port = firstPort;
  let isLosing = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const redis = createConnection({ port, host: '127.0.0.1' });
    const cut = () => {
      client.destroy();
      redis.destroy();
    };
    for (const socket of [client, redis]) sockets.add(socket.on('error', cut).on('close', cut));
    client.on('data', (question) => redis.write(question));
    redis.on('data', (answer) => {
      if (!isLosing) return void client.write(answer);
      isLosing = false;
      cut();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    leadTo(other) {
      port = other;
    },
    loseNextAnswer() {
      isLosing = true;
    },
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
