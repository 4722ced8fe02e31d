/** What people read of a run: one table for the tests, one for the figures, one for what the rings are. Pure. */
import { ROLE_NAMES } from '../../src/protocol/requests.ts';
import type { FiguresRun, IoUringReport, Phase, SettingReport } from './io-uring-task.ts';
import { diskPollsWrites, interruptsPerTransfer } from './polling-claims.ts';

export function describeReport(report: IoUringReport): string {
  const { kernel, ioPoll, settings, broken } = report;
  return [
    `io_uring on Linux ${kernel}, the disk's io_poll is ${ioPoll}`,
    ...section('tests', testRows(settings)),
    ...section('rings', ringRows(settings)),
    ...section('figures (times are those of an emulated machine)', figureRows(settings)),
    ...section('large values, written, flushed and read back', largeValueRows(settings)),
    '',
    diskPollsWrites(kernel)
      ? 'the kernel polls the disk for reads and for writes'
      : 'the kernel polls the disk for reads only: a write of a file is brought by an interrupt (Linux 6.6 and later)',
    '',
    ...(broken.length === 0 ? ['everything is as it has to be'] : broken.map((what) => `NOT SO: ${what}`)),
    '',
  ].join('\n');
}

/** A heading and a table, whose first row is its head; nothing where there are no others. */
function section(heading: string, rows: readonly (readonly string[])[]): string[] {
  if (rows.length < 2) return [];
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return ['', heading, ...lines];
}

function testRows(settings: readonly SettingReport[]): string[][] {
  const rows = settings.flatMap(({ setting, tests }) => {
    if (tests === undefined) return [];
    const { passed, failures, skipped, seconds, kernel } = tests;
    const { reads, writes, flushes, interrupts } = kernel;
    const counts = [
      passed,
      failures.length,
      skipped,
      Math.round(seconds),
      reads,
      writes,
      flushes,
      interrupts,
    ];
    return [[setting.name, '', ...counts.map(String)]];
  });
  return [
    ['', '', 'passed', 'failed', 'skipped', 'seconds', 'disk reads', 'writes', 'flushes', 'interrupts'],
    ...rows,
  ];
}

/** The last column is words, which stand where a column of names would. */
function ringRows(settings: readonly SettingReport[]): string[][] {
  const width = Math.max(...ROLE_NAMES.map((role) => role.length));
  const rows = settings.flatMap(({ setting, figures }) => {
    if (figures === undefined) return [];
    return ROLE_NAMES.map((role) => {
      const { flags, pollerFlags } = figures.rings[role];
      const poller = pollerFlags.length === 0 ? '' : `; beside it: ${pollerFlags.join(' ')}`;
      return [setting.name, `${role.padEnd(width)}  ${flags.join(' ')}${poller}`];
    });
  });
  return [['', 'what it was set up with'], ...rows];
}

function figureRows(settings: readonly SettingReport[]): string[][] {
  const runs = settings.flatMap(({ setting, figures }) =>
    figures === undefined ? [] : [{ name: setting.name, figures }],
  );
  const count = Math.max(0, ...runs.map(({ figures }) => figures.phases.length));
  const rows = Array.from({ length: count }, (_, i) =>
    runs.flatMap(({ name, figures }) => figureRow(name, figures, i)),
  ).flat();
  const head = [
    '',
    '',
    '/s',
    'CPU µs',
    'ring',
    'polled',
    'enters',
    'disk reads',
    'writes',
    'flushes',
    'interrupts',
  ];
  return [[...head, 'per I/O'], ...rows];
}

function figureRow(setting: string, figures: FiguresRun, at: number): string[][] {
  const phase = figures.phases[at];
  if (phase === undefined) return [];
  const { name, kind, operations, seconds, cpuSeconds, kernel } = phase;
  const { submitted, polled, enters } = ofRings(phase);
  return [
    [
      name,
      setting,
      (operations / seconds).toFixed(0),
      ((cpuSeconds * 1e6) / operations).toFixed(0),
      ...[submitted, polled, enters, kernel.reads, kernel.writes, kernel.flushes, kernel.interrupts].map(
        String,
      ),
      kind === 'prepare' ? '' : interruptsPerTransfer(phase).toFixed(3),
    ],
  ];
}

/** Of all rings together. */
function ofRings({ rings }: Phase): { submitted: number; polled: number; enters: number } {
  const all = Object.values(rings);
  return {
    submitted: all.reduce((sum, { operations }) => sum + operations, 0),
    polled: all.reduce((sum, { polledOperations }) => sum + polledOperations, 0),
    enters: all.reduce((sum, one) => sum + one.enters, 0),
  };
}

function largeValueRows(settings: readonly SettingReport[]): string[][] {
  const rows = settings.flatMap(({ setting, largeValues }) =>
    largeValues.map(({ bytes, end }) => [setting.name, '', `${bytes / 1024} KiB`, end]),
  );
  return [['', '', 'value', 'end'], ...rows];
}
