/**
 * What the virtual machine needs of the system: installed with apt where this process may do so, otherwise named. As
 * in scripts/bootstrap.mjs, `QUADRING_NO_SYSTEM_PACKAGES=1` keeps it from installing anything.
 */
import { spawnSync } from 'node:child_process';
import { findProgram, MachineError, run } from './commands.ts';

/** Programs, and Debian's packages that they are in. Some run here, some are copied into the machine. */
const PROGRAMS = [
  { program: 'qemu-system-x86_64', package: 'qemu-system-x86' },
  { program: 'mke2fs', package: 'e2fsprogs' },
  { program: 'mkfs.xfs', package: 'xfsprogs' },
  { program: 'dmsetup', package: 'dmsetup' },
  { program: 'modprobe', package: 'kmod' },
  { program: 'busybox', package: 'busybox-static' },
];

function missingPackages(): string[] {
  return PROGRAMS.filter(({ program }) => findProgram(program) === undefined).map((one) => one.package);
}

/** How this process may install packages: a prefix of the command, or undefined if it may not. */
function privilege(): string[] | undefined {
  if (process.env['QUADRING_NO_SYSTEM_PACKAGES'] === '1' || findProgram('apt-get') === undefined)
    return undefined;
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : undefined;
}

/** Throws MachineError unless everything is there in the end. */
export function ensureSystemPackages(say: (text: string) => void): void {
  if (process.arch !== 'x64') {
    throw new MachineError(
      `the virtual machine is one of x86-64, with this node inside; here it is ${process.arch}`,
    );
  }
  const missing = missingPackages();
  if (missing.length === 0) return;
  const prefix = privilege();
  if (prefix !== undefined) {
    say(`installing system packages: ${missing.join(' ')}`);
    // `env` and not our own environment: sudo does not pass that on.
    const [program = '', ...rest] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq'];
    run(program, [...rest, 'update']);
    run(program, [...rest, 'install', '-y', '--no-install-recommends', ...missing]);
  }
  const left = missingPackages();
  if (left.length === 0) return;
  throw new MachineError(
    `the virtual machine needs packages that are missing; as Debian calls them: apt-get install -y ${left.join(' ')}`,
  );
}
