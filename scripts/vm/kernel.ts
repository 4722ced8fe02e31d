/**
 * Debian's kernels for virtual machines, fetched with apt and unpacked into the cache: nothing is installed, and apt's
 * own lists and settings stay as they are. They have NVMe and ext4 built in, and dm-log-writes and dm-flakey as modules.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, MachineError, run } from './commands.ts';
import { cacheFolder } from './places.ts';

/** By the version that is asked for: where Debian has it. */
const SUITES = { '6.1': 'bookworm', '6.12': 'bookworm-backports' } as const;
export type KernelVersion = keyof typeof SUITES;
export const KERNEL_VERSIONS = Object.keys(SUITES) as KernelVersion[];

/** A package that only depends on the newest kernel of its suite. */
const NEWEST = 'linux-image-cloud-amd64';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

export interface Kernel {
  /** As `uname -r` says it. */
  readonly release: string;
  readonly image: string;
  /** A folder with `lib/modules/<release>`. */
  readonly root: string;
}

/** From the cache, or fetched. */
export function ensureKernel(version: KernelVersion, say: (text: string) => void): Kernel {
  const root = join(cacheFolder('kernels'), version);
  if (!existsSync(root)) fetchKernel(version, root, say);
  const image = readdirSync(join(root, 'boot')).find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined)
    throw new MachineError(`${root} has no kernel; remove it, and it is fetched again`);
  return { release: image.slice('vmlinuz-'.length), image: join(root, 'boot', image), root };
}

/** The kernel appears under its name only when all of it is there. */
function fetchKernel(version: KernelVersion, root: string, say: (text: string) => void): void {
  if (findProgram('apt-get') === undefined || findProgram('dpkg') === undefined) {
    throw new MachineError(`Debian's kernels are fetched with apt-get and dpkg, which are not here`);
  }
  const work = `${root}.partial`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const apt = aptOptions(work, SUITES[version]);
  say(`fetching Debian's kernel ${version}`);
  run('apt-get', ['-qq', ...apt, 'update']);
  const depends = run('apt-cache', [...apt, 'depends', NEWEST]);
  const name = /Depends: (linux-image-\S+-cloud-amd64)/.exec(depends)?.[1];
  if (name === undefined)
    throw new MachineError(`${NEWEST} of ${SUITES[version]} names no kernel:\n${depends}`);
  if (!name.startsWith(`linux-image-${version}.`)) {
    throw new MachineError(`${SUITES[version]} has ${name}, not a kernel ${version}`);
  }
  run('apt-get', ['-qq', ...apt, 'download', name], { cwd: work });
  const file = readdirSync(work).find((one) => one.endsWith('.deb'));
  if (file === undefined) throw new MachineError(`apt-get fetched no package ${name}`);
  const unpacked = join(work, 'unpacked');
  run('dpkg', ['-x', join(work, file), unpacked]);
  renameSync(unpacked, root);
  rmSync(work, { recursive: true });
}

/** Settings under which apt knows this suite and nothing else, and keeps what it learns in a folder of ours. */
function aptOptions(work: string, suite: string): string[] {
  const lists = join(work, 'lists');
  const cache = join(work, 'cache');
  mkdirSync(join(lists, 'partial'), { recursive: true });
  mkdirSync(join(cache, 'archives/partial'), { recursive: true });
  const signed = existsSync(KEYRING) ? ` [signed-by=${KEYRING}]` : '';
  const source = join(work, 'suite.list');
  writeFileSync(source, `deb${signed} ${mirror()} ${suite} main\n`);
  const settings = {
    'Dir::Etc::SourceList': source,
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State::Lists': lists,
    'Dir::Cache': cache,
    // The folder is ours: a user of apt's own could not write into it.
    'APT::Sandbox::User': '',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Where this machine has Debian from. */
function mirror(): string {
  const named = process.env['QUADRING_DEBIAN_MIRROR'];
  if (named !== undefined && named !== '') return named;
  const format = '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)';
  const lines = run('apt-get', ['indextargets', '--format', format, 'Identifier: Packages']).split('\n');
  const uri = lines
    .map((line) => line.split('|'))
    .find(
      ([origin, label, component]) => origin === 'Debian' && label === 'Debian' && component === 'main',
    )?.[3];
  if (uri === undefined || uri === '') {
    throw new MachineError(
      'apt knows no mirror of Debian here (after `apt-get update`); name one in QUADRING_DEBIAN_MIRROR',
    );
  }
  return uri;
}
