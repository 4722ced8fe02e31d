/** The comparison's report as files, from samples that nobody measured. */
import test from 'ava';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readEarlier, writeTimelines } from '../../bench/report/earlier.ts';
import {
  betweenMarkers,
  markersOf,
  reportOf,
  updateDocument,
  writeReport,
  writeSamples,
  type NamedTimeline,
} from '../../bench/report/report.ts';
import type { Machine, RowDescription } from '../../bench/report/rows.ts';
import { HUES, STRONGEST_HUE } from '../../bench/support/svg.ts';
import { parseSamples, type Sample } from '../../bench/workload/sample.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { FAKE_LATENCIES, fakeRow, fakeSamples, fakeSeconds } from '../support/fake-samples.ts';
import { checkWellFormed, elementsOf } from '../support/svg-checks.ts';

const MARKERS = markersOf('comparison');
const [BEGIN, END] = MARKERS;

const MACHINE: Machine = {
  node: 'v1.2.3',
  kernel: '4.5.6',
  cpu: 'a <fake> processor',
  cores: 2,
  date: '2001-02-03',
  command: 'npm run nothing',
  details: {},
  versions: { quadring: '0.0.1', lmdb: '9.9.9' },
  notes: ['nobody measured this'],
};

const ROWS: RowDescription[] = [
  ...[1, 4, 16].map((at) =>
    fakeRow(`get${at}`, { title: `gets & <${at}>`, curve: { across: 'in flight', panel: 'cold gets', at } }),
  ),
  ...[1e5, 1e6].map((at) =>
    fakeRow(`size${at}`, { figure: 'ns', curve: { across: 'entries', panel: 'cached get', at } }),
  ),
  fakeRow('memory', {
    figure: 'MiB',
    goals: [{ of: 'quadring', against: [], timesFaster: 100, text: 'at most 100 MiB' }],
  }),
];

const ARMS = ['quadring', 'quadring, system calls', 'RocksDB', 'lmdb'];

function samplesOfAll(): Sample[] {
  return ROWS.flatMap(({ row }, at) =>
    ARMS.flatMap((arm, i) => {
      const latencyMicros = row === 'get1' ? FAKE_LATENCIES : null;
      const rounds = [1, 2, 3].map((factor) => ({ seconds: factor * (i + 1) * (at + 1), latencyMicros }));
      return row === 'get16' && arm === 'lmdb' ? [] : fakeSamples(row, arm, rounds);
    }),
  );
}

const TIMELINE: NamedTimeline = {
  name: 'overwrites',
  title: 'Overwrites',
  timeline: {
    seconds: [1, 2],
    lanes: [{ title: 'caller', unit: '/s', series: [{ label: 'operations', values: [1, 2] }] }],
  },
};

const CHART_NAMES = [
  'comparison-overview.svg',
  'comparison-depth.svg',
  'comparison-entries.svg',
  'comparison-latencies.svg',
  'comparison-time-overwrites.svg',
];

test('all charts are well-formed, and quadring is the strongest in them', (t) => {
  const { charts } = reportOf('comparison', samplesOfAll(), ROWS, MACHINE, [TIMELINE]);
  t.deepEqual(
    charts.map(({ name }) => name),
    CHART_NAMES,
  );
  for (const { svg } of charts) {
    checkWellFormed(t, svg);
    t.true(svg.includes(HUES[STRONGEST_HUE]));
    t.true(svg.includes('a &lt;fake&gt; processor'));
  }
  t.is(elementsOf(charts[1].svg, 'polyline').length, ARMS.length);
  const shown = ROWS.filter(({ curve, goals }) => curve === undefined || goals.length > 0);
  t.is(
    elementsOf(charts[0].svg, 'rect').length - 1,
    shown.length * ARMS.length,
    'points of curves are not in it',
  );
});

test('charts that there is nothing for are not made', (t) => {
  const { charts, markdown } = reportOf(
    'comparison',
    fakeSeconds('get', 'quadring', [1]),
    [fakeRow('get')],
    MACHINE,
  );
  t.deepEqual(charts, []);
  t.false(markdown('').includes('### Charts'));
  t.false(markdown('').includes('### Goals'));
});

test('a report is lines of JSON, Markdown and charts that it links to', (t) => {
  const directory = temporaryDirectory(t);
  const folders = { results: join(directory, 'results'), charts: join(directory, 'docs/charts') };
  const samples = samplesOfAll();
  writeReport('comparison', samples.slice(0, 3), ROWS, MACHINE, folders);
  const report = writeReport('comparison', samples, ROWS, MACHINE, folders, [TIMELINE]);

  const lines = readFileSync(join(folders.results, 'comparison.jsonl'), 'utf8');
  const read = parseSamples(lines);
  t.is(read.length, samples.length, 'an earlier run is replaced');
  t.deepEqual(read[0], { ...samples[0], machine: MACHINE } as Sample);

  const written = readFileSync(join(folders.results, 'comparison.md'), 'utf8');
  for (const said of [
    'npm run nothing',
    '2001-02-03',
    'Linux 4.5.6',
    'lmdb 9.9.9',
    '- nobody measured this',
  ]) {
    t.true(written.includes(said), said);
  }
  t.true(written.includes('| gets & &lt;4>, /s |'), 'a title is not taken for an element');
  t.true(written.includes('| the memory | at most 100 MiB | 64.0 MiB | yes |'));
  t.false(written.includes('### Where another is ahead'), 'nobody is');
  for (const name of CHART_NAMES) {
    t.true(existsSync(join(folders.charts, name)), name);
    t.true(written.includes(`](../docs/charts/${name})`), name);
  }

  const document = join(directory, 'docs/benchmarks.md');
  writeFileSync(document, `before\n${BEGIN}\nan earlier run\n${END}\nafter\n`);
  updateDocument(document, report, folders.charts);
  const updated = readFileSync(document, 'utf8');
  t.true(updated.startsWith(`before\n${BEGIN}\n\n\`npm run nothing\``));
  t.true(updated.endsWith(`\n\n${END}\nafter\n`));
  t.true(updated.includes(`](charts/${CHART_NAMES[0]})`));
  t.false(updated.includes('an earlier run'));
  updateDocument(document, report, folders.charts);
  t.is(readFileSync(document, 'utf8'), updated, 'a second time changes nothing');
});

test('samples are written even where the report refuses them', (t) => {
  const directory = temporaryDirectory(t);
  const samples = samplesOfAll();
  t.throws(() => writeReport('comparison', samples, [], MACHINE, { results: directory, charts: directory }), {
    message: /has no description/,
  });
  t.is(parseSamples(readFileSync(join(directory, 'comparison.jsonl'), 'utf8')).length, samples.length);
});

test('a document without its markers is refused', (t) => {
  t.is(betweenMarkers(`${BEGIN}${END}`, MARKERS, ' new '), `${BEGIN}\n\nnew\n\n${END}`);
  t.throws(() => betweenMarkers('nothing', MARKERS, 'new'), {
    message: /has to have <!-- comparison:begin --> once, not 0/,
  });
  t.throws(() => betweenMarkers(BEGIN, MARKERS, 'new'), { message: /<!-- comparison:end --> once, not 0/ });
  t.throws(() => betweenMarkers(BEGIN + BEGIN + END, MARKERS, 'new'), { message: /once, not 2/ });
  t.throws(() => betweenMarkers(END + BEGIN, MARKERS, 'new'), { message: /stands before/ });
});

test('runs are reported again together, the later one of what both have', (t) => {
  const folder = temporaryDirectory(t);
  const rounds = (seconds: number): { seconds: number }[] => [{ seconds }, { seconds }];
  const first = [...fakeSamples('get1', 'quadring', rounds(1)), ...fakeSamples('get1', 'lmdb', rounds(2))];
  writeSamples('whole', first, MACHINE, folder);
  writeTimelines('whole', [TIMELINE], folder);
  const second = [
    ...fakeSamples('get1', 'lmdb', [{ seconds: 3 }]),
    ...fakeSamples('get4', 'lmdb', rounds(4)),
  ];
  const later = {
    ...MACHINE,
    command: 'npm run something',
    versions: { lmdb: '9.9.10' },
    notes: ['another'],
  };
  writeSamples('part', second, later, folder);
  const { samples, machine, timelines } = readEarlier(
    ['whole', 'part'].map((name) => join(folder, `${name}.jsonl`)),
  );
  t.deepEqual(
    samples.map(({ row, arm, measured }) => `${row} ${arm} ${measured.seconds}`),
    ['get1 quadring 1', 'get1 quadring 1', 'get1 lmdb 3', 'get4 lmdb 4', 'get4 lmdb 4'],
  );
  t.deepEqual(timelines, [TIMELINE]);
  t.deepEqual(machine.versions, { quadring: '0.0.1', lmdb: '9.9.10' });
  t.deepEqual(machine.notes.slice(0, 2), ['nobody measured this', 'another']);
  t.regex(machine.notes[2], /npm run something/);
});

test('files of samples that are not there are named, and those that are', (t) => {
  const folder = temporaryDirectory(t);
  const missing = join(folder, 'comparison.jsonl');
  t.throws(() => readEarlier([missing]), { name: 'UsageError', message: /its folder has no samples/ });
  writeSamples('comparison-part', fakeSeconds('get1', 'quadring', [1]), MACHINE, folder);
  t.throws(() => readEarlier([missing]), {
    name: 'UsageError',
    message: /beside it: comparison-part\.jsonl$/,
  });
  t.throws(() => readEarlier([join(folder, 'absent', 'a.jsonl')]), { message: /its folder has no samples/ });
});

test('a row that another is ahead in is told of beside the goals', (t) => {
  const samples = [...fakeSeconds('get', 'quadring', [2]), ...fakeSeconds('get', 'lmdb', [1])];
  const [get, withGoal] = [
    fakeRow('get'),
    fakeRow('get', { goals: [{ of: 'quadring', against: ['lmdb'], timesFaster: 1, text: 'ahead of lmdb' }] }),
  ];
  const section = '### Where another is ahead';
  t.true(reportOf('comparison', samples, [withGoal], MACHINE).markdown('').includes(section));
  t.false(reportOf('comparison', samples, [get], MACHINE).markdown('').includes(section), 'as a quick run');
});
