/** The slot of a Redis Cluster that a key lives in: CRC16 (XMODEM) of its hash tag, of 16,384. */
const SLOTS = 16_384;
const POLYNOMIAL = 0x1021;
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** @param key - One of ours: what stands between its first braces is its hash tag, and it is not empty. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const tag = Buffer.from(key.slice(open + 1, key.indexOf('}', open)));
  let crc = 0;
  for (const byte of tag) crc = ((crc << 8) & 0xffff) ^ TABLE[(crc >> 8) ^ byte]!;
  return crc % SLOTS;
}
