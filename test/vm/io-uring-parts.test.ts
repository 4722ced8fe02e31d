/** Parts of `npm run vm -- io-uring` that need no machine: what is read of the kernel and of ava, and what is claimed of it. */
import test from 'ava';
import { ROLE_NAMES, type RoleName } from '../../src/protocol/requests.ts';
import { describeReport } from './io-uring-report.ts';
import { SETTINGS, type FiguresRun, type Phase, type RingDelta, type Setting } from './io-uring-task.ts';
import { countedSince, parseDiskCounters, parseQueueInterrupts } from './kernel-counters.ts';
import { brokenClaims, diskPollsWrites } from './polling-claims.ts';
import { parseTap } from './tap.ts';

const [PLAIN, IOPOLL, BOTH] = SETTINGS as [Setting, Setting, Setting];
const POLLS_WRITES = '6.1.0-50-cloud-amd64';
const POLLS_READS_ONLY = '6.12.95+deb12-cloud-amd64';

test('of a disk come its reads, writes and flushes, those that were merged included', (t) => {
  const text =
    '      23        2      190        6      350       22   234784      344        0      180      373        3        0  4194312        0       32       21\n';
  t.deepEqual(parseDiskCounters(text), { reads: 25, writes: 372, flushes: 32 });
  t.throws(() => parseDiskCounters('1 2 3'));
});

test('of the interrupts those of the queues for I/O count, on all cores', (t) => {
  const text = [
    '           CPU0       CPU1       ',
    '  4:          2          0   IO-APIC   4-edge      ttyS0',
    ' 24:          0         28  PCI-MSIX-0000:00:01.0   0-edge      nvme0q0',
    ' 25:         23          1  PCI-MSIX-0000:00:01.0   1-edge      nvme0q1',
    ' 26:          0         61  PCI-MSIX-0000:00:01.0   2-edge      nvme0q2',
    'NMI:          0          0   Non-maskable interrupts',
  ].join('\n');
  t.is(parseQueueInterrupts(text), 85);
  t.throws(() => parseQueueInterrupts('           CPU0\n  4:          2   IO-APIC   4-edge      ttyS0\n'));
});

test('what was counted since is the difference', (t) => {
  const before = { reads: 1, writes: 2, flushes: 3, interrupts: 4 };
  const after = { reads: 11, writes: 22, flushes: 33, interrupts: 44 };
  t.deepEqual(countedSince(before, after), { reads: 10, writes: 20, flushes: 30, interrupts: 40 });
});

test('of what ava prints each test is counted once, and a failure comes with what is said of it', (t) => {
  const text = [
    'TAP version 13',
    'ok 1 - native › ring › a title',
    '# a log line',
    'not ok 2 - native › ring › another - with a dash',
    '  ---',
    '    message: why',
    '  ...',
    '---tty-stream-chunk-separator',
    'ok 3 - engine › api › left out # SKIP',
    '',
    '1..2',
    '# tests 2',
  ].join('\n');
  t.deepEqual(parseTap(text), {
    passed: 1,
    skipped: 1,
    failures: ['native › ring › another - with a dash\n  ---\n    message: why\n  ...'],
  });
});

test('since Linux 6.6 writes of files are not polled for', (t) => {
  t.true(diskPollsWrites(POLLS_WRITES));
  t.true(diskPollsWrites('5.19.0'));
  t.true(diskPollsWrites('6.5.13'));
  t.false(diskPollsWrites('6.6.0'));
  t.false(diskPollsWrites(POLLS_READS_ONLY));
  t.false(diskPollsWrites('7.0-rc1'));
  t.throws(() => diskPollsWrites('unknown'));
});

const NOTHING: RingDelta = { operations: 0, polledOperations: 0, enters: 0, pollWakeUps: 0, parks: 0 };

function rings(
  some: Partial<Record<RoleName, readonly [operations: number, polled: number]>>,
): Phase['rings'] {
  const entries = ROLE_NAMES.map((role) => {
    const [operations, polledOperations] = some[role] ?? [0, 0];
    return [role, { ...NOTHING, operations, polledOperations }] as const;
  });
  return Object.fromEntries(entries) as Record<RoleName, RingDelta>;
}

/** Figures as they have to be. */
function figuresOf({ io }: Setting, writesRaiseNone: boolean): FiguresRun {
  const polls = io.iopoll === true;
  const polled = (count: number): readonly [number, number] => [count, polls ? count : 0];
  const phase = { seconds: 1, cpuSeconds: 1, depth: 1, operations: 100 };
  const flags = io.sqpoll === true ? ['SQPOLL'] : [];
  const pollerFlags = polls ? [...flags, 'IOPOLL'] : [];
  return {
    iopoll: polls,
    iopollRefusal: null,
    rings: {
      foreground: { flags, pollerFlags },
      wal: { flags, pollerFlags },
      flush: { flags, pollerFlags: [] },
      compaction: { flags, pollerFlags: [] },
    },
    phases: [
      {
        ...phase,
        name: 'prepare',
        kind: 'prepare',
        rings: rings({ foreground: [9, polls ? 5 : 0], flush: [50, 0], compaction: [20, 0], wal: polled(9) }),
        kernel: { reads: 30, writes: 90, flushes: 10, interrupts: 120 },
      },
      {
        ...phase,
        name: 'reads',
        kind: 'read',
        rings: rings({ foreground: polled(100) }),
        kernel: { reads: 100, writes: 0, flushes: 0, interrupts: polls ? 0 : 100 },
      },
      {
        ...phase,
        name: 'puts',
        kind: 'put',
        rings: rings({ wal: polled(100) }),
        kernel: { reads: 0, writes: 101, flushes: 0, interrupts: polls && writesRaiseNone ? 1 : 101 },
      },
    ],
    valuesChecked: 1,
  };
}

function changed(run: FiguresRun, at: number, change: (phase: Phase) => Partial<Phase>): FiguresRun {
  return {
    ...run,
    phases: run.phases.map((phase, i) => (i === at ? { ...phase, ...change(phase) } : phase)),
  };
}

for (const setting of [PLAIN, IOPOLL, BOTH]) {
  test(`figures that are as they have to be break no claim: ${setting.name}`, (t) => {
    t.deepEqual(brokenClaims(setting, figuresOf(setting, true), POLLS_WRITES), []);
    t.deepEqual(brokenClaims(setting, figuresOf(setting, false), POLLS_READS_ONLY), []);
  });
}

test('each thing that is not as it has to be is said', (t) => {
  const good = figuresOf(IOPOLL, true);
  const poller = { flags: [], pollerFlags: ['IOPOLL'] };
  const wrong: [what: RegExp, run: FiguresRun][] = [
    [/stats\(\)\.iopoll/, { ...good, iopoll: false, iopollRefusal: 'why' }],
    [/the poller of flush/, { ...good, rings: { ...good.rings, flush: poller } }],
    [/the poller of wal/, { ...good, rings: { ...good.rings, wal: { flags: [], pollerFlags: [] } } }],
    [/the ring of wal has/, { ...good, rings: { ...good.rings, wal: { ...poller, flags: ['SQPOLL'] } } }],
    [
      /takes nothing but polled/,
      { ...good, rings: { ...good.rings, wal: { ...poller, flags: ['IOPOLL'] } } },
    ],
    [/nothing was synced/, changed(good, 0, ({ kernel }) => ({ kernel: { ...kernel, flushes: 0 } }))],
    [
      /of 9 of foreground 9/,
      changed(good, 0, ({ rings: of }) => ({ rings: { ...of, ...pick(of, 'foreground', 9) } })),
    ],
    [
      /of 50 of flush 1/,
      changed(good, 0, ({ rings: of }) => ({ rings: { ...of, ...pick(of, 'flush', 1) } })),
    ],
    [
      /of 100 of foreground 99/,
      changed(good, 1, ({ rings: of }) => ({ rings: { ...of, ...pick(of, 'foreground', 99) } })),
    ],
    [/the disk counts 99/, changed(good, 1, ({ kernel }) => ({ kernel: { ...kernel, reads: 99 } }))],
    [
      /reads: 0\.50 interrupts/,
      changed(good, 1, ({ kernel }) => ({ kernel: { ...kernel, interrupts: 50 } })),
    ],
    [
      /puts: 1\.00 interrupts/,
      changed(good, 2, ({ kernel }) => ({ kernel: { ...kernel, interrupts: 101 } })),
    ],
    [/0 reads for|did nothing/, changed(good, 1, () => ({ rings: rings({}) }))],
  ];
  for (const [what, run] of wrong) t.regex(brokenClaims(IOPOLL, run, POLLS_WRITES).join('\n'), what);
  const silent = changed(figuresOf(PLAIN, true), 1, ({ kernel }) => ({
    kernel: { ...kernel, interrupts: 0 },
  }));
  t.regex(brokenClaims(PLAIN, silent, POLLS_WRITES).join('\n'), /only 0\.00 interrupts/);
  const surprising = brokenClaims(IOPOLL, good, POLLS_READS_ONLY);
  t.regex(
    surprising.join('\n'),
    /puts: only 0\.01 interrupts/,
    'a kernel that polls for writes again is noticed',
  );
});

function pick(of: Phase['rings'], role: RoleName, polledOperations: number): Partial<Phase['rings']> {
  return { [role]: { ...of[role], polledOperations } };
}

test('the report has a row for each setting, and says what is not so', (t) => {
  const settings = SETTINGS.map((setting) => ({
    setting,
    tests: {
      passed: 7,
      skipped: 0,
      failures: [],
      exitCode: 0,
      seconds: 3,
      kernel: { reads: 1, writes: 2, flushes: 3, interrupts: 4 },
    },
    figures: figuresOf(setting, true),
    largeValues: [{ bytes: 2048, end: 'right' as const }],
  }));
  const report = { kernel: POLLS_WRITES, ioPoll: '1', settings, broken: [] };
  const text = describeReport(report);
  for (const { name } of SETTINGS) t.true(text.includes(`\n${name} `), name);
  t.regex(text, /everything is as it has to be/);
  t.regex(describeReport({ ...report, broken: ['some'] }), /NOT SO: some/);
});
