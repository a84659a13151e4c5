/** Tests run the same TypeScript files that production runs: swc strips types, nothing is built. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/libs', '<rootDir>/services', '<rootDir>/tests', '<rootDir>'],
  testMatch: ['**/*.test.ts'],
  // Those of tests/k8s need a cluster: `npm run test:k8s`.
  testPathIgnorePatterns: ['/node_modules/', '/.plinth/', '<rootDir>/tests/k8s/'],
  modulePathIgnorePatterns: ['<rootDir>/.plinth/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  testTimeout: 60_000,
  // Most of the time of the long files is waiting, for leases and deadlines: one worker takes twice as long.
  maxWorkers: 2,
};
