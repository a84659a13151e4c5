/** A package of the Rust registry, built by Cargo with the versions its makers locked. */
import { delimiter, dirname, join } from 'node:path';
import { findOnPath, lastLines, runCommand } from '../../libs/engines/src/command.ts';
import { type FetchContext, type Way, WayClosed } from '../../libs/engines/src/engine.ts';
import { findProgram } from '../program.ts';

/** Rust compiles some 300 crates here, and other programs may want the processor too. */
const BUILD_TIMEOUT_MS = 3_600_000;

/** @param name - Of the package and of its program. */
export function cargoPackage({ name, version }: { name: string; version: string }): Way {
  return {
    name: `cargo install ${name}`,
    source: 'Cargo',
    async fetch({ env, stagingDir, progress }: FetchContext) {
      const cargo = await findOnPath('cargo', env);
      if (cargo === undefined) throw new WayClosed('no cargo on PATH');
      // What its build asks for besides: the compiler of protocol buffers.
      const packages = ['protobuf-compiler', 'libprotoc32'];
      const protoc = await findProgram({ name: 'protoc', debianPackages: packages, brewFormula: 'protobuf' }, progress);
      progress('building with Cargo (five to ten minutes on two cores)');
      const args = ['install', name, '--version', version, '--locked', '--root', stagingDir];
      const { code, output } = await runCommand(cargo, args, {
        timeoutMs: BUILD_TIMEOUT_MS,
        env: { ...env, ...protoc.env, PROTOC: protoc.command, PATH: [dirname(cargo), env.PATH].join(delimiter) },
      });
      if (code !== 0) throw new Error(lastLines(output));
      return { binary: join('bin', name) };
    },
  };
}
