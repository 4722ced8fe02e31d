/**
 * The project in a virtual machine of its own. What each does stands in docs/virtual-machine.md.
 *
 *     npm run vm -- run [--modules production|all] [--disks data=512,…] [--timeout seconds] -- command
 *     npm run vm -- power-cuts [--cuts N] [--fs ext4,xfs] [--seed N] [--mutation name] [--iopoll]
 *     npm run vm -- io-errors [--fs ext4,xfs]
 *     npm run vm -- io-uring [--only tests,figures]
 *
 * All take `--kernel 6.12|6.1`, power-cuts and io-errors `--backend auto|uring|syscall`.
 */
import { randomInt } from 'node:crypto';
import { commandLineWithWords, oneOf, runCommand, UsageError, wholeNumber } from '../command-line.ts';
import { FILE_SYSTEMS } from '../../test/vm/devices.ts';
import { PARTS } from '../../test/vm/io-uring-task.ts';
import { MachineError } from './commands.ts';
import { failDisks } from './io-errors.ts';
import { runIoUring } from './io-uring.ts';
import { KERNEL_VERSIONS } from './kernel.ts';
import { runInNewMachine } from './machine-run.ts';
import { MUTATIONS } from './mutations.ts';
import { cutPower } from './power-cuts.ts';

const { values, words } = commandLineWithWords('vm', {
  kernel: { type: 'string', default: '6.12' },
  modules: { type: 'string', default: 'production' },
  disks: { type: 'string', default: '' },
  timeout: { type: 'string', default: '600' },
  cuts: { type: 'string', default: '100' },
  fs: { type: 'string', default: FILE_SYSTEMS.join(',') },
  seed: { type: 'string', default: String(randomInt(2 ** 31)) },
  backend: { type: 'string', default: 'auto' },
  mutation: { type: 'string', default: 'none' },
  iopoll: { type: 'boolean', default: false },
  only: { type: 'string', default: PARTS.join(',') },
});

function disksOf(text: string): Record<string, number> {
  if (text === '') return {};
  return Object.fromEntries(
    text.split(',').map((one) => {
      const [, name, mebibytes] = /^([a-z][a-z0-9-]*)=(.*)$/.exec(one) ?? [];
      if (name === undefined) throw new UsageError(`--disks must be name=mebibytes,…, not "${text}"`);
      return [name, wholeNumber('disks', mebibytes ?? '', 1)];
    }),
  );
}

/** One word is a script for `sh`; several are a program and its arguments. */
function commandOf(words: readonly string[]): string {
  if (words.length === 1) return words[0] ?? '';
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
}

async function main(): Promise<number> {
  const [what, ...rest] = words;
  const kernel = oneOf('kernel', values.kernel, KERNEL_VERSIONS);
  const backend = oneOf('backend', values.backend, ['auto', 'uring', 'syscall']);
  const fileSystems = values.fs.split(',').map((text) => oneOf('fs', text, FILE_SYSTEMS));
  switch (what) {
    case 'run': {
      if (rest.length === 0) throw new UsageError('run needs a command, behind --');
      const modules = oneOf('modules', values.modules, ['production', 'all']);
      const timeoutMs = wholeNumber('timeout', values.timeout, 1) * 1000;
      const disks = disksOf(values.disks);
      const task = { kernel, modules, disks, command: commandOf(rest), timeoutMs };
      return (await runInNewMachine(task)).exitCode;
    }
    case 'power-cuts': {
      const names = ['none', ...MUTATIONS.map(({ name }) => name)];
      const mutation = oneOf('mutation', values.mutation, names);
      if (values.iopoll && backend === 'syscall') throw new UsageError('system calls are not polled for');
      return await cutPower({
        kernel,
        backend,
        iopoll: values.iopoll,
        fileSystems,
        cuts: wholeNumber('cuts', values.cuts, 1),
        seed: wholeNumber('seed', values.seed),
        mutation: MUTATIONS.find(({ name }) => name === mutation),
      });
    }
    case 'io-errors':
      return await failDisks(kernel, { fileSystems, backend });
    case 'io-uring': {
      const parts = values.only.split(',').map((text) => oneOf('only', text, PARTS));
      return await runIoUring(kernel, { parts });
    }
    default:
      throw new UsageError(`npm run vm -- run, power-cuts, io-errors or io-uring; not ${what ?? 'nothing'}`);
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.error(`given up: ${signal}`);
    // The handler of 'exit' ends the machine.
    process.exit(130);
  });
}

await runCommand(async () => {
  process.exitCode = await main();
}, MachineError);
