/** `quadring probe`: what it prints, and what it advises. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { adviceOn, formatProbe } from '../../src/cli/probe-report.ts';
import { probe, type ProbeReport } from '../../src/cli/probe.ts';
import { readProcessLimits } from '../../src/cli/process-limits.ts';
import { URING_FEATURES } from '../../src/cli/uring-features.ts';
import { native } from '../../src/native.ts';
import { startChild, scriptBeside, type ChildEnd } from '../support/children.ts';
import { temporaryDirectory } from '../support/directories.ts';

const SCRIPT = scriptBeside(import.meta.url, '../../src/cli/quadring');

function run(t: ExecutionContext, ...args: string[]): Promise<ChildEnd> {
  return startChild(t, SCRIPT, args).ended;
}

test.serial('it prints a table, or JSON, and exits with 0', async (t) => {
  const directory = temporaryDirectory(t);
  const text = await run(t, 'probe', join(directory, 'to be made'));
  t.is(text.code, 0, text.stderr);
  t.true(text.stdout.includes(directory), 'the nearest folder that is there');
  const json = await run(t, 'probe', '--json', directory);
  t.is(json.code, 0, json.stderr);
  const report = JSON.parse(json.stdout) as ProbeReport;
  t.is(report.storage?.directory, directory);
  t.is(report.node, process.version);
  const bare = await run(t, 'probe', '--json');
  t.is((JSON.parse(bare.stdout) as ProbeReport).storage, null);
});

test.serial('arguments that make no sense are refused with 2', async (t) => {
  for (const args of [
    ['probe', '/a', '/b'],
    ['probe', '--hide-older', 'all'],
    ['probe', '--take-behind-gaps'],
    ['probe', '--lock-timeout', '5'],
  ]) {
    const { code, stderr, stdout } = await run(t, ...args);
    t.is(code, 2, args.join(' '));
    t.true(stderr.includes('usage:'));
    t.is(stdout, '');
  }
});

test('every feature of the table was asked for', (t) => {
  const kernel = native.probeKernel();
  if (kernel.refusal !== null) {
    t.pass(kernel.refusal);
    return;
  }
  for (const { name, group } of URING_FEATURES) t.true(name in kernel[group], name);
});

test('a kernel that has a feature gives it to a ring of ours', (t) => {
  const { kernel, ring, ringRefusal } = probe(undefined);
  if (ring === null) {
    t.is(typeof ringRefusal, 'string');
    return;
  }
  for (const flag of ['SINGLE_ISSUER', 'DEFER_TASKRUN', 'SUBMIT_ALL', 'CQSIZE', 'NO_SQARRAY']) {
    t.is(ring.flags.includes(flag), kernel.setUps[flag] === null, flag);
  }
  t.is(ring.flags.includes('REGISTERED_RING_FD'), kernel.registrations['ring descriptor'] === null);
});

const SOUND: ProbeReport = {
  linux: '6.12.0',
  node: 'v20.19.0',
  cores: 8,
  kernel: {
    liburing: '2.9',
    refusal: null,
    setUps: { SINGLE_ISSUER: null, SQPOLL: 'EPERM' },
    registrations: {},
    operations: { FTRUNCATE: false },
    features: {},
  },
  ring: {
    flags: ['SINGLE_ISSUER'],
    entries: 256,
    completionEntries: 2048,
    registeredBytes: 32 << 20,
    registrationRefusal: null,
    fixedFiles: 2048,
    fixedFilesRefusal: null,
    providedBuffers: 2048,
    providedBuffersRefusal: null,
    idlePriority: true,
    idlePriorityRefusal: null,
    descriptor: 3,
    pollingRefusal: null,
    workersMax: 8,
    workersRefusal: null,
    pollerFlags: [],
    pollerRefusal: null,
  },
  ringRefusal: null,
  limits: {
    lockedMemoryBytes: 8 << 20,
    mayLockAnything: false,
    openFiles: 'unlimited',
    uringDisabled: 0,
    isFiltered: false,
    hugePages: 'madvise',
  },
  storage: null,
};

test('where all is well there is no advice, and the table says yes, no, or why not', (t) => {
  t.deepEqual(adviceOn(SOUND), []);
  const lines = formatProbe(SOUND).split('\n');
  const answer = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`${name} `))?.split(/ {2,}/)[2];
  t.is(answer('SINGLE_ISSUER'), 'yes');
  t.is(answer('SQPOLL'), 'EPERM');
  t.is(answer('FTRUNCATE'), 'no');
  t.is(answer('MSG_RING'), 'unknown');
  t.true(lines.includes('nothing to be changed'));
  t.true(lines.includes('locked memory  8192 KiB'));
});

test('what is missing is advised on, one sentence each', (t) => {
  const disk = {
    name: 'sda',
    major: 8,
    minor: 0,
    kind: 'scsi' as const,
    polls: false,
    hasVolatileCache: true,
    writesThrough: false,
    isRotational: true,
    logicalBlockBytes: 512,
    requestBytesMax: undefined,
    splitsAtBytes: undefined,
    physicalBlockBytes: 512,
    scheduler: 'none',
  };
  const advice = adviceOn({
    ...SOUND,
    cores: 1,
    ring: null,
    ringRefusal: 'EPERM: refused',
    limits: { ...SOUND.limits, openFiles: 1024, hugePages: 'never' },
    storage: {
      directory: '/data',
      fileSystem: 'tmpfs',
      layers: [disk],
      disks: [disk],
      gap: undefined,
      direct: { memory: 0, offset: 0 },
    },
  });
  for (const expected of [
    'EPERM',
    '1024',
    'huge pages',
    'one core',
    'rotates',
    'scheduler',
    'cache',
    'memory',
  ]) {
    t.true(
      advice.some((line) => line.includes(expected)),
      expected,
    );
  }
  t.is(advice.length, 8);
});

test('limits are read from what the kernel says, and are unknown where it says nothing', (t) => {
  const folder = temporaryDirectory(t);
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const files = {
    limits: file(
      'limits',
      'Limit                     Soft Limit           Hard Limit           Units\n' +
        'Max locked memory         65536                unlimited            bytes\n' +
        'Max open files            unlimited            unlimited            files\n',
    ),
    status: file('status', 'CapEff:\t0000000000004000\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n'),
    uringDisabled: file('disabled', '1\n'),
    hugePages: file('huge', 'always madvise [never]\n'),
  };
  t.deepEqual(readProcessLimits(files), {
    lockedMemoryBytes: 65_536,
    mayLockAnything: true,
    openFiles: 'unlimited',
    uringDisabled: 1,
    isFiltered: true,
    hugePages: 'never',
  });
  const missing = join(folder, 'missing');
  const nothing = readProcessLimits({
    limits: missing,
    status: missing,
    uringDisabled: missing,
    hugePages: missing,
  });
  t.true(Object.values(nothing).every((value) => value === undefined));
});
