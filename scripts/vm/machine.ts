/**
 * One life of the virtual machine: booted with its disks, given a command, listened to, ended. It is bounded in time, and
 * nothing of it stays: the process is killed when its time is up and when this process exits, however that comes about.
 *
 * All disks are namespaces of one emulated NVMe controller. They have volatile write caches as far as Linux can see, take
 * FUA writes, and the driver has queues to poll. Linux numbers them as it finds them, which is not always in the same
 * order: the root is found by what stands in its partition table, and process 1 makes links for the others in /dev/disk.
 * What goes in and out goes through a disk as well, as a tar archive.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MachineError, run, SEARCH_PATH } from './commands.ts';
import { makeEmptyDisk, ROOT_PARTITION } from './disk-image.ts';
import type { Kernel } from './kernel.ts';
import { cacheFolder } from './places.ts';

const MEBIBYTE = 1024 * 1024;
const MEMORY_MEBIBYTES = 2048;
const CORES = 2;
/** Of what the machine gets and gives back. */
const EXCHANGE_BYTES = 1024 * MEBIBYTE;
/** Queues that a ring with IOPOLL polls. */
const POLL_QUEUES = 2;
const KVM = ['-accel', 'kvm', '-cpu', 'max'];
/** What of the kernel's messages goes into an error. */
const CONSOLE_TEXT_MAX = 4000;

export interface Disk {
  /** In the machine it is /dev/disk/<name>. */
  readonly name: string;
  readonly path: string;
}

export interface MachineTask {
  readonly kernel: Kernel;
  readonly rootImage: string;
  readonly projectImage: string;
  readonly disks: readonly Disk[];
  /** A script for `sh`, run in the project's folder. What it leaves in /exchange/results comes back. */
  readonly command: string;
  readonly timeoutMs: number;
  /** What the command prints, as it comes. */
  readonly onOutput: (text: string) => void;
}

export interface MachineResult {
  readonly exitCode: number;
  /** What was in /exchange/results, and the kernel's messages in `kernel.log`. */
  readonly results: string;
}

const living = new Set<ChildProcess>();

process.on('exit', () => {
  for (const machine of living) machine.kill('SIGKILL');
});

/** Throws MachineError when the machine does not come to the end of its command. */
export async function runMachine(task: MachineTask): Promise<MachineResult> {
  const folder = cacheFolder('machine');
  const console = join(folder, 'console.log');
  const exchange = join(folder, 'exchange.img');
  const results = join(folder, 'results');
  rmSync(results, { recursive: true, force: true });
  makeExchange(folder, exchange, task.command);
  rmSync(console, { force: true });
  const end = await boot(machineArguments(task, exchange, console), task);
  if (end !== undefined) throw new MachineError(`${end}; ${consoleText(console)}`);
  mkdirSync(results);
  run('tar', ['xf', exchange, '-C', results]);
  const code = join(results, 'exit-code');
  if (!existsSync(code)) throw new MachineError(`the machine ended in its command; ${consoleText(console)}`);
  return { exitCode: Number(readFileSync(code, 'utf8')), results };
}

function makeExchange(folder: string, exchange: string, command: string): void {
  makeEmptyDisk(exchange, EXCHANGE_BYTES);
  writeFileSync(join(folder, 'command'), command);
  const archive = join(folder, 'command.tar');
  run('tar', ['cf', archive, '-C', folder, 'command']);
  run('dd', [`if=${archive}`, `of=${exchange}`, 'conv=notrunc', 'status=none']);
}

/** Resolves when the machine is gone: with what went wrong, if it was not switched off by itself. */
function boot(machine: readonly string[], { timeoutMs, onOutput }: MachineTask): Promise<string | undefined> {
  const child = spawn('qemu-system-x86_64', machine, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: SEARCH_PATH },
  });
  living.add(child);
  let problem: string | undefined;
  let complaints = '';
  const timer = setTimeout(() => {
    problem = `the machine was not done after ${Math.round(timeoutMs / 1000)} s`;
    child.kill('SIGKILL');
  }, timeoutMs);
  child.stdout.setEncoding('utf8').on('data', onOutput);
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-CONSOLE_TEXT_MAX);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      living.delete(child);
      clearTimeout(timer);
      // It also ends with 0 when somebody ends it by a signal, and says so.
      if (problem === undefined && (code !== 0 || complaints.includes('terminating on signal'))) {
        problem = `the machine ended with ${code ?? signal}: ${complaints.trim()}`;
      }
      resolve(problem);
    });
  });
}

function machineArguments(task: MachineTask, exchange: string, console: string): string[] {
  const disks: Disk[] = [
    { name: 'root', path: task.rootImage },
    { name: 'project', path: task.projectImage },
    { name: 'exchange', path: exchange },
    ...task.disks,
  ];
  const commandLine = [
    `console=ttyS0 quiet panic=-1 root=PARTUUID=${ROOT_PARTITION} rootwait ro init=/init`,
    `nvme.poll_queues=${POLL_QUEUES} quadring.disks=${disks.map(({ name }) => name).join(',')}`,
  ];
  return [
    ...['-machine', 'q35', '-smp', String(CORES), '-m', String(MEMORY_MEBIBYTES)],
    // Emulation of this one instruction gives a wrong result now and then (QEMU 7.2), of which the kernel then dies.
    ...(hasKvm() ? KVM : ['-accel', 'tcg,thread=multi', '-cpu', 'max,cx16=off']),
    ...['-nodefaults', '-display', 'none', '-nic', 'none', '-no-reboot'],
    ...['-serial', `file:${console}`, '-serial', 'stdio'],
    ...['-kernel', task.kernel.image, '-append', commandLine.join(' ')],
    ...['-device', 'nvme,id=controller,serial=quadring'],
    // The power of the machine that this runs on does not go: nothing has to be synced here.
    ...disks.flatMap(({ path }, i) => [
      ...['-drive', `file=${path},format=raw,if=none,id=disk${i},cache=unsafe,discard=unmap`],
      ...['-device', `nvme-ns,drive=disk${i},bus=controller,nsid=${i + 1}`],
    ]),
  ];
}

/**
 * Where it is not to be had, and in containers it mostly is not, everything is emulated: correct, and slow. That there is a
 * device says little: one that cannot virtualize all of this processor ends QEMU while it makes a machine, and so it is
 * tried with one that does not begin to run.
 */
function hasKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    run('qemu-system-x86_64', [...KVM, '-nodefaults', '-display', 'none', '-S', '-monitor', 'stdio'], {
      input: 'quit\n',
    });
    return true;
  } catch {
    return false;
  }
}

function consoleText(path: string): string {
  const text = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  return text === '' ? 'its console is empty' : `its console ends with\n${text.slice(-CONSOLE_TEXT_MAX)}`;
}
