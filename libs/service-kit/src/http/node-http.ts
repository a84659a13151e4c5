/**
 * `node:http` as it is, without what it could become: an `import` of a built-in module reads every export once, and one
 * of those of `node:http` (`WebSocket`) loads a whole HTTP client, 6 MB that no service uses.
 */
export const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http');
