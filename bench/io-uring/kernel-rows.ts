/**
 * The rows of the program in bench/io-uring/kernel/, beside those of the addon: same rounds, same table. Their arms share one
 * process for each row, and two files. Benchmarks only.
 */
import type { BenchFiles } from './bench-files.ts';
import { KernelProcess, buildKernelProgram, listKernelRows, type KernelFiles } from './kernel-program.ts';
import type { Arm, Row } from './rows.ts';

const READ_MEBIBYTES = 128;
const WRITE_MEBIBYTES = 64;

/** All of them; the program is compiled if need be. `files`: a folder for what they share, made when the first is measured. */
export function kernelRows(files: () => BenchFiles): Row[] {
  buildKernelProgram();
  let made: KernelFiles | undefined;
  const shared = (): KernelFiles => {
    if (made !== undefined) return made;
    const folder = files();
    made = { readFile: folder.makeNamed(READ_MEBIBYTES), writeFile: folder.makeNamed(WRITE_MEBIBYTES) };
    return made;
  };
  return listKernelRows().map(({ name, count, arms }, number) => ({
    name,
    arms(_, scale): Arm[] {
      const child = new KernelProcess(number, shared());
      return arms.map((armName, arm) => ({
        name: armName,
        run: () => child.run(arm, Math.ceil(count * scale)),
        close: () => child.close(),
      }));
    },
  }));
}
