/** Lines, lanes over time, and ratios: where things stand in these charts. */
import test from 'ava';
import { HUES, STRONGEST_HUE } from '../../bench/support/svg.ts';
import { lineChart, type LineOptions, type LineSeries } from '../../bench/support/svg-line-charts.ts';
import { ratioBarChart, type RatioBar } from '../../bench/support/svg-ratio-bars.ts';
import { timelineChart, type TimelineLane } from '../../bench/support/svg-timelines.ts';
import { checkWellFormed, elementsOf, placeOf, pointsOf } from '../support/svg-checks.ts';

const HEADING = { title: 'a < b', note: 'measured on "this" & that' };

function seriesOf(label: string, hue: number, values: readonly [x: number, value: number][]): LineSeries {
  const points = values.map(([x, value]) => ({ x, value, low: value / 2, high: value * 2 }));
  return { label, hue, isDashed: false, points };
}

function linesOf(series: readonly LineSeries[], options: Partial<LineOptions> = {}): string {
  const panels = [{ title: 'gets', unit: '/s', series }];
  return lineChart({ ...HEADING, across: 'in flight', xScale: 'log', yScale: 'log', panels, ...options });
}

function near(value: number, expected: number): boolean {
  return Math.abs(value - expected) < 0.05;
}

test('on logarithmic axes factors are distances, in both directions', (t) => {
  const svg = linesOf([
    seriesOf('some', 1, [
      [1, 100],
      [4, 200],
      [16, 400],
      [256, 400],
    ]),
  ]);
  checkWellFormed(t, svg);
  const [line] = elementsOf(svg, 'polyline').map(pointsOf);
  t.true(near(line[2][0] - line[1][0], line[1][0] - line[0][0]));
  t.true(near(line[3][0] - line[2][0], 2 * (line[1][0] - line[0][0])));
  t.true(near(line[1][1] - line[2][1], line[0][1] - line[1][1]));
  t.is(line[2][1], line[3][1]);
  for (const [i, tick] of ['1', '4', '16', '256'].entries()) t.true(near(placeOf(svg, tick).x, line[i][0]));
  t.true(near(placeOf(svg, '200').y - 4, line[1][1]), 'a value stands at its tick');
  const [band] = elementsOf(svg, 'polygon').map(pointsOf);
  t.is(band.length, 8);
  t.true(near(line[0][1] - band[0][1], band[7][1] - line[0][1]), 'twice and half are equally far');
});

test('a linear axis begins at nothing', (t) => {
  const svg = linesOf(
    [
      seriesOf('some', 1, [
        [0, 0],
        [10, 50],
        [20, 100],
      ]),
    ],
    { xScale: 'linear', yScale: 'linear' },
  );
  checkWellFormed(t, svg);
  const [line] = elementsOf(svg, 'polyline').map(pointsOf);
  t.true(near(line[2][0] - line[1][0], line[1][0] - line[0][0]));
  t.true(near(line[1][1] - line[2][1], line[0][1] - line[1][1]));
});

test('the legend has the order in which lines end, and the strongest lies on top', (t) => {
  const svg = linesOf([
    seriesOf('quadring', STRONGEST_HUE, [
      [1, 10],
      [4, 80],
    ]),
    seriesOf('slow', 1, [
      [1, 90],
      [4, 20],
    ]),
    seriesOf('fast &', 2, [[4, 500]]),
    seriesOf('absent', 3, []),
  ]);
  checkWellFormed(t, svg);
  const places = ['fast &amp;', 'quadring', 'slow'].map((label) => placeOf(svg, label).y);
  t.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
  );
  t.false(svg.includes('absent'));
  t.is(elementsOf(svg, 'polyline').at(-1)!['stroke'], HUES[STRONGEST_HUE]);
});

test('a single position, or none, is no reason to fail', (t) => {
  const one = linesOf([seriesOf('some', 1, [[64, 5]])]);
  checkWellFormed(t, one);
  t.true(one.includes('>64</text>'));
  const none = linesOf([seriesOf('some', 1, [[64, 0]])]);
  checkWellFormed(t, none);
  t.true(none.includes('nothing to show'));
});

test('nine long names end inside of the picture', (t) => {
  const label = 'RocksDB buffered + 8 MB cache';
  const svg = linesOf(
    Array.from({ length: 9 }, (_, i) =>
      seriesOf(`${label} ${i}`, i, [
        [1, i + 1],
        [4, i + 2],
      ]),
    ),
  );
  checkWellFormed(t, svg);
  const places = Array.from({ length: 9 }, (_, i) => placeOf(svg, `RocksDB buffered \\+ 8 MB cache ${i}`));
  t.true(places.every(({ x }) => x + 31 * 6.6 <= 820));
  t.is(new Set(places.map(({ y }) => y)).size, 9);
});

function lane(title: string, values: Readonly<Record<string, readonly number[]>>): TimelineLane {
  const series = Object.entries(values).map(([label, of]) => ({ label, values: of }));
  return { title, unit: 'MB/s', series };
}

test('lanes share their axis of time, and what is written hangs below what is read', (t) => {
  const seconds = [2, 4, 6, 8, 10];
  const timeline = {
    seconds,
    lanes: [
      lane('caller', { operations: [5, 5, 0, 5, 10] }),
      lane('<WAL>', { read: [0, 100, 100, 0, 0], written: [0, 50, 50, 50, 0] }),
    ],
  };
  const svg = timelineChart({ ...HEADING, timeline });
  checkWellFormed(t, svg);
  const [operations, read, written] = elementsOf(svg, 'polyline').map(pointsOf);
  t.deepEqual(
    operations.map(([x]) => x),
    written.map(([x]) => x),
  );
  t.true(operations.every(([x], i) => Math.abs(x - placeOf(svg, `${seconds[i]} s`).x) <= 2));
  const base = read[0][1];
  t.is(written[0][1], base);
  t.true(read[1][1] < base && written[1][1] > base);
  t.true(near(base - read[1][1], 2 * (written[1][1] - base)), 'both sides have one scale');
  t.true(operations[4][1] < operations[0][1] && operations[0][1] < operations[2][1]);
});

test('samples that share a place are drawn as their mean, between the least and the largest', (t) => {
  const count = 10_000;
  const values = Array.from({ length: count }, (_, i) => (i % 4 === 0 ? 0 : 100));
  const seconds = values.map((_, i) => i / 100);
  const svg = timelineChart({ ...HEADING, timeline: { seconds, lanes: [lane('one', { read: values })] } });
  checkWellFormed(t, svg);
  const [line] = elementsOf(svg, 'polyline').map(pointsOf);
  t.true(line.length < 500);
  const [band, area] = elementsOf(svg, 'polygon').map(pointsOf);
  const [top, bottom] = [Math.min(...band.map(([, y]) => y)), Math.max(...band.map(([, y]) => y))];
  const middle = line[Math.floor(line.length / 2)][1];
  t.true(Math.abs((bottom - middle) / (bottom - top) - 0.75) < 0.05);
  t.is(area.at(-1)![1], bottom, 'the area stands on the line');
});

test('a lane of nothing but zeros, or without samples, can be drawn', (t) => {
  const empty = lane('idle', { read: [0, 0], written: [0, 0] });
  checkWellFormed(t, timelineChart({ ...HEADING, timeline: { seconds: [1, 2], lanes: [empty] } }));
  const none = lane('none', { read: [] });
  checkWellFormed(t, timelineChart({ ...HEADING, timeline: { seconds: [], lanes: [none] } }));
});

function barOf(label: string, value: number): RatioBar {
  return { label, hue: 1, isPale: false, value, low: value / 2, high: value * 2, text: `${value} times` };
}

test('twice as fast and half as fast are equally far from the line at 1', (t) => {
  const groups = [
    { title: 'get & set', bars: [barOf('fast', 2), barOf('same', 1), barOf('slow <', 0.5)] },
    { title: 'scan', bars: [barOf('fast', 4)] },
  ];
  const svg = ratioBarChart({ ...HEADING, panels: [{ title: 'cached', groups }] });
  checkWellFormed(t, svg);
  const bars = elementsOf(svg, 'rect').filter(({ height }) => height === '9');
  const [fast, same, slow, fastest] = bars.map(({ x, width }) => ({ x: Number(x), width: Number(width) }));
  t.true(near(fast.width, slow.width));
  t.is(same.width, 0);
  t.true(near(slow.x + slow.width, fast.x));
  t.true(near(fastest.width, 2 * fast.width), 'groups of a panel share their axis');
  t.true(fastest.x > fast.x, 'the second group stands beside the first');
  t.true(svg.includes('>0.5 times</text>'));
  t.true(near(placeOf(svg, 'scan').y, placeOf(svg, 'get &amp; set').y));
});
