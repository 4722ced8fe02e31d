/** The comparison's figures, goals and tables, from samples that nobody measured. */
import test from 'ava';
import { rowsWithOthersAhead } from '../../bench/report/ahead.ts';
import { armsInOrder, armStyles, engineOf } from '../../bench/report/arms.ts';
import {
  diskReadBytes,
  figuresOf,
  figureText,
  medianRound,
  processorMicros,
  ratiosToFastest,
  ratiosToBestOther,
  spreadText,
  valueOf,
  valuesOf,
  type RowFigures,
} from '../../bench/report/figures.ts';
import { judgedGoals } from '../../bench/report/goals.ts';
import {
  aheadTable,
  costTable,
  figureTable,
  goalsTable,
  latencyTable,
  ratioTable,
} from '../../bench/report/markdown.ts';
import type { Goal, RowDescription } from '../../bench/report/rows.ts';
import { STRONGEST_HUE } from '../../bench/support/svg.ts';
import { spreadOf } from '../../bench/support/measure.ts';
import { parseSamples, type Sample } from '../../bench/workload/sample.ts';
import { LATENCY_SHARES } from '../../bench/workload/session.ts';
import { FAKE_LATENCIES, fakeMeasured, fakeRow, fakeSamples, fakeSeconds } from '../support/fake-samples.ts';

function onlyRow(samples: readonly Sample[], description: RowDescription): RowFigures {
  return figuresOf(samples, [description]).groups[0].rows[0];
}

/** Cells of a table's line, without its title. */
function cellsOf(table: string, line: number): string[] {
  return table.split('\n')[line].split(' | ').slice(1).join(' | ').replace(/ \|$/, '').split(' | ');
}

test('each kind of figure says what it says', (t) => {
  const measured = fakeMeasured('get', {
    operations: 4_000_000,
    seconds: 2,
    diskReadBytes: 300e6,
    diskWriteBytes: 100e6,
    residentBytes: 3 * 2 ** 20,
  });
  const values = (['ns', 'ms', '/s', 'MB/s', 'MiB'] as const).map((figure) =>
    valueOf(measured, fakeRow('get', { figure })),
  );
  t.deepEqual(values, [500, 0.0005, 2_000_000, 200, 3]);
  t.is(valueOf(measured, fakeRow('get', { figure: 'MB/s', operationBytes: 116 })), 232);
});

test('ratios are taken inside of each round, and only then is their median', (t) => {
  const samples = [...fakeSeconds('get', 'quadring', [1, 2, 10]), ...fakeSeconds('get', 'lmdb', [3, 10, 1])];
  for (const figure of ['/s', 'ns'] as const) {
    const row = onlyRow(samples, fakeRow('get', { figure }));
    const ratios = ratiosToFastest(row, 'quadring', ['lmdb']);
    t.deepEqual(
      ratios.map((ratio) => Number(ratio.toFixed(6))),
      [3, 5, 0.1],
    );
    t.true(Math.abs(spreadOf(ratios).median - 3) < 1e-9, 'that of the medians would be 1.5');
  }
});

test('only rounds that both arms have are compared', (t) => {
  const samples = [
    ...fakeSamples('get', 'quadring', [{ seconds: 1 }, { seconds: 1 }, { seconds: 4 }]),
    ...fakeSamples('get', 'lmdb', [null, { seconds: 2 }, { seconds: 2 }]),
    ...fakeSamples('get', 'broken', [{ seconds: 0 }, { operations: 0 }, { seconds: Number.NaN }]),
  ];
  const row = onlyRow(samples, fakeRow('get'));
  t.deepEqual(ratiosToFastest(row, 'quadring', ['lmdb']), [2, 0.5]);
  t.deepEqual(ratiosToFastest(row, 'quadring', ['broken']), []);
  t.deepEqual(ratiosToFastest(row, 'nobody', ['lmdb']), []);
  t.deepEqual(
    ratiosToFastest(row, 'quadring', ['broken', 'lmdb']),
    [2, 0.5],
    'the fastest of those that are there',
  );
});

test('the best other one is of another engine, and of the same round', (t) => {
  const samples = [
    ...fakeSeconds('get', 'quadring', [1, 1]),
    ...fakeSeconds('get', 'quadring, system calls', [0.5, 1]),
    ...fakeSeconds('get', 'lmdb', [4, 8]),
    ...fakeSeconds('get', 'RocksDB', [8, 2]),
  ];
  const row = onlyRow(samples, fakeRow('get'));
  t.deepEqual(ratiosToBestOther(row, 'quadring'), [4, 2]);
  t.deepEqual(ratiosToBestOther(row, 'lmdb'), [0.125, 0.125]);
  const alone = onlyRow(samples.slice(0, 4), fakeRow('get'));
  t.deepEqual(ratiosToBestOther(alone, 'quadring'), []);
});

test('costs are of one operation', (t) => {
  const rounds = [1, 3, 2].map((factor) => ({ cpuSeconds: factor / 1000, diskReadBytes: factor * 16_000 }));
  const row = onlyRow(fakeSamples('get', 'quadring', rounds), fakeRow('get'));
  t.deepEqual(processorMicros(row, 'quadring'), { min: 1, median: 2, max: 3 });
  t.deepEqual(diskReadBytes(row, 'quadring'), { min: 16, median: 32, max: 48 });
  t.is(processorMicros(row, 'lmdb'), null);
});

test('the median round is one of those that there were', (t) => {
  const row = onlyRow(fakeSeconds('get', 'lmdb', [5, 1, 3, 2]), fakeRow('get', { figure: 'ns' }));
  t.is(medianRound(row, 'lmdb')?.seconds, 2);
  t.is(medianRound(row, 'quadring'), null);
});

test('groups and rows come as described, quadring before the others', (t) => {
  const samples = [
    ...fakeSeconds('put', 'lmdb', [1], 'writes'),
    ...fakeSeconds('scan', 'lmdb', [1]),
    ...fakeSeconds('get', 'quadring, system calls', [1]),
    ...fakeSeconds('get', 'quadring', [1]),
  ];
  const figures = figuresOf(
    samples,
    ['get', 'put', 'unmeasured', 'scan'].map((row) => fakeRow(row)),
  );
  t.deepEqual(figures.arms, ['quadring', 'quadring, system calls', 'lmdb']);
  t.deepEqual(
    figures.groups.map(({ name, rows }) => [name, ...rows.map(({ description }) => description.row)]),
    [
      ['cached', 'get', 'scan'],
      ['writes', 'put'],
    ],
  );
});

test('samples that cannot be placed are refused', (t) => {
  const samples = fakeSeconds('get', 'lmdb', [1]);
  t.throws(() => figuresOf(samples, []), { message: /row get has no description/ });
  t.throws(() => figuresOf([...samples, ...samples], [fakeRow('get')]), {
    message: /row get of lmdb in round 0 was measured twice/,
  });
  const elsewhere = fakeSeconds('get', 'quadring', [1], 'cold');
  t.throws(() => figuresOf([...samples, ...elsewhere], [fakeRow('get')]), {
    message: /in several groups: cached, cold/,
  });
});

test('goals are judged by the median of the rounds, absolute ones in the row’s figure', (t) => {
  const goal = (against: string, timesFaster: number): Goal => ({
    of: 'quadring',
    against: against === '' ? [] : [against],
    timesFaster,
    text: `${timesFaster} | ${against}`,
  });
  const samples = [...fakeSeconds('get', 'quadring', [1, 2, 10]), ...fakeSeconds('get', 'lmdb', [3, 10, 1])];
  const rates = fakeRow('get', { goals: [goal('lmdb', 3), goal('lmdb', 3.1), goal('', 500), goal('', 501)] });
  const times = fakeRow('get', { figure: 'ms', goals: [goal('', 2), goal('', 1.9)] });
  const holds = (row: RowDescription): boolean[] =>
    judgedGoals(figuresOf(samples, [row]), [row]).map((one) => one.holds);
  t.deepEqual(holds(rates), [true, false, true, false]);
  t.deepEqual(holds(times), [true, false]);

  const alone = fakeRow('alone', { goals: [goal('lmdb', 2)] });
  const absent = fakeRow('absent', { goals: [goal('lmdb', 2)] });
  const rows = [rates, alone, absent];
  const judged = judgedGoals(figuresOf([...samples, ...fakeSeconds('alone', 'quadring', [1])], rows), rows);
  t.is(judged.length, 5, 'a row that nobody has measured is left out');
  const clear = fakeRow('get', { goals: [goal('lmdb', 6), goal('lmdb', 0.1)] });
  const table = goalsTable([
    judged[0],
    judged[2],
    judged[3],
    judged[4],
    ...judgedGoals(figuresOf(samples, [clear]), [clear]),
  ]);
  t.deepEqual(table.trimEnd().split('\n').slice(2), [
    '| the get | 3 \\| lmdb | 3.00 (0.10–5.00) times | yes; in 2 of 3 rounds |',
    '| the get | 500 \\|  | 500 (100–1,000)/s | yes; in 2 of 3 rounds |',
    '| the get | 501 \\|  | 500 (100–1,000)/s | no; in 1 of 3 rounds |',
    '| the alone | 2 \\| lmdb | – | not measured |',
    '| the get | 6 \\| lmdb | 3.00 (0.10–5.00) times | no |',
    '| the get | 0.1 \\| lmdb | 3.00 (0.10–5.00) times | yes |',
  ]);
});

test('who is ahead of quadring is told, by the figure and by p99, and who only measures the disk is not', (t) => {
  const latencies = (p99: number): number[] => LATENCY_SHARES.map((share) => (share === 0.99 ? p99 : 1));
  const tails = (arm: string, p99: number): Sample[] =>
    fakeSamples('get', arm, [{ seconds: 1, latencyMicros: latencies(p99) }]);
  const samples = [
    ...tails('quadring', 100),
    ...tails('quadring, system calls', 1),
    ...tails('fio', 1),
    ...tails('RocksDB', 50),
    ...tails('lmdb', 40),
    ...tails('classic-level', 51),
    ...fakeSeconds('scan', 'quadring', [4, 4, 4]),
    ...fakeSeconds('scan', 'fio', [1, 1, 1]),
    ...fakeSeconds('scan', 'RocksDB', [2, 2, 1]),
    ...fakeSeconds('scan', 'lmdb', [1, 8, 1]),
    ...fakeSeconds('scan', 'classic-level', [1, 8, 8]),
    ...fakeSeconds('put', 'quadring', [1]),
    ...fakeSeconds('put', 'lmdb', [1]),
  ];
  const figures = figuresOf(samples, [fakeRow('get'), fakeRow('scan'), fakeRow('put')]);
  t.deepEqual(aheadTable(rowsWithOthersAhead(figures)).trimEnd().split('\n').slice(2), [
    '| the get | – | 100: lmdb 40.0; RocksDB 50.0 |',
    '| the scan | lmdb 4.00 (0.50–4.00); RocksDB 2.00 (2.00–4.00) | – |',
  ]);
});

test('tables have a dash for what an arm does not have, and say where one failed', (t) => {
  const samples = [
    ...fakeSeconds('get', 'quadring', [1, 1, 1]),
    ...fakeSamples('get', 'lmdb', [{ seconds: 4 }, null, { seconds: 2 }]),
    ...fakeSeconds('scan', 'quadring', [2, 2, 2]),
    ...fakeSeconds('scan', 'RocksDB', [1, 1, 1]),
    ...fakeSeconds('put', 'elsewhere', [1], 'writes'),
  ];
  const { arms, groups } = figuresOf(samples, [
    fakeRow('get'),
    fakeRow('scan', { figure: 'ms' }),
    fakeRow('put'),
  ]);
  const figures = figureTable(groups[0], arms);
  t.is(figures.split('\n')[0], '|  | quadring | lmdb | RocksDB |');
  t.deepEqual(cellsOf(figures, 2), ['**1,000**', '375 (250–500), 2 of 3 rounds', '–']);
  t.deepEqual(cellsOf(figures, 3), ['2.00', '–', '**1.00**']);
  const ratios = ratioTable(groups[0], arms);
  t.deepEqual(cellsOf(ratios, 2), ['**1,000/s**', '3.00 (2.00–4.00), 2 of 3 rounds', '–']);
  t.deepEqual(cellsOf(ratios, 3), ['2.00 ms', '–', '**0.50**']);
  t.deepEqual(cellsOf(ratioTable(groups[1], arms), 2), ['–'], 'without quadring there is no ratio');
  t.deepEqual(cellsOf(costTable(groups[0], arms), 2), ['2,000 / 0', '2,000 / 0', '–']);
});

test('percentiles are shown only of as many calls as they take', (t) => {
  const withCalls = (operations: number): { operations: number; latencyMicros: number[] } => ({
    operations,
    latencyMicros: FAKE_LATENCIES,
  });
  const samples = [
    ...fakeSamples('get', 'quadring', [withCalls(1000), withCalls(1000)]),
    ...fakeSamples('get', 'lmdb', [withCalls(999)]),
    ...fakeSamples('get', 'RocksDB', [withCalls(99)]),
    ...fakeSamples('get', 'mute', [{}]),
    ...fakeSamples('scan', 'lmdb', [{}]),
  ];
  const { arms, groups } = figuresOf(samples, [fakeRow('get'), fakeRow('scan')]);
  const table = latencyTable(groups[0], arms);
  t.is(table.trimEnd().split('\n').length, 3, 'the scan has no latencies');
  t.deepEqual(cellsOf(table, 2), ['50.0 / 99.0 / 99.9', '50.0 / 99.0 / –', '50.0 / – / –', '–']);
});

test('what is small keeps two digits', (t) => {
  t.deepEqual([0, 0.00123, 0.5, 12.34, 1234.5].map(figureText), ['0', '0.0012', '0.50', '12.3', '1,235']);
  t.is(spreadText({ min: 1, median: 2, max: 3 }), '2.00 (1.00–3.00)');
  t.is(spreadText({ min: 2, median: 2, max: 2 }), '2.00');
});

test('samples come back from lines of JSON', (t) => {
  const samples = fakeSeconds('get', 'lmdb', [1, 2]);
  const lines = samples.map((sample) => `${JSON.stringify(sample)}\n`).join('');
  t.deepEqual(parseSamples(lines), samples);
  const figures = figuresOf(parseSamples(lines), [fakeRow('get')]);
  t.deepEqual(valuesOf(figures.groups[0].rows[0], 'lmdb'), [1000, 500]);
});

test('arms of one engine share a hue as long as that tells them apart', (t) => {
  t.deepEqual(['quadring, system calls', 'RocksDB buffered', 'rocksdb-native'].map(engineOf), [
    'quadring',
    'RocksDB',
    'rocksdb-native',
  ]);
  const arms = armsInOrder(['RocksDB', 'RocksDB buffered', 'lmdb', 'RocksDB', 'quadring', 'RocksDB third']);
  t.deepEqual(arms, ['quadring', 'RocksDB', 'RocksDB buffered', 'lmdb', 'RocksDB third']);
  const styles = armStyles(arms);
  t.is(styles.get('quadring')?.hue, STRONGEST_HUE);
  t.is(styles.get('RocksDB buffered')?.hue, styles.get('RocksDB')?.hue);
  t.deepEqual(
    arms.map((arm) => styles.get(arm)?.isVariant),
    [false, false, true, false, false],
  );
  t.is(new Set(arms.map((arm) => styles.get(arm)?.hue)).size, 4);
  const many = armStyles(Array.from({ length: 9 }, (_, i) => `engine${i}`));
  t.false(
    [...many.values()].some(({ hue }) => hue === STRONGEST_HUE),
    'the strongest is quadring’s alone',
  );
});

test('what was in memory where the disk was meant is not there', (t) => {
  const samples = [
    ...fakeSamples('get', 'quadring', [{ diskReadBytes: 16_384_000 }, { diskReadBytes: 16_384_000 }]),
    ...fakeSamples('get', 'lmdb', [{ diskReadBytes: 4_096_000 }, { diskReadBytes: 1_000_000 }]),
    ...fakeSamples('get', 'fio', [{ diskReadBytes: null }, { diskReadBytes: null }]),
  ];
  const [{ rows }] = figuresOf(samples, [fakeRow('get', { diskBytesMin: 2048 })]).groups;
  t.deepEqual(
    ['quadring', 'lmdb', 'fio'].map((arm) => valuesOf(rows[0], arm).length),
    [2, 1, 2],
  );
});
