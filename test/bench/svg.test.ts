/** Charts as text: what is written into them, and where things stand. */
import test from 'ava';
import {
  closeLogAxis,
  element,
  escapeXml,
  HUES,
  linearScale,
  linearTicks,
  logScale,
  logTicks,
  STRONGEST_HUE,
  text,
  tickText,
  wrapped,
} from '../../bench/support/svg.ts';
import { distributionChart, stackedBarChart } from '../../bench/support/svg-charts.ts';
import { checkWellFormed } from '../support/svg-checks.ts';

test('whatever a name has in it, it ends neither its element nor its attribute', (t) => {
  t.is(escapeXml(`<a href="x">&'`), '&lt;a href=&quot;x&quot;&gt;&amp;&apos;');
  t.is(escapeXml('&amp;'), '&amp;amp;');
  t.is(element('g', { id: '"/><script>' }), '<g id="&quot;/&gt;&lt;script&gt;"/>');
  t.true(text(1, 2, 'a < b').includes('>a &lt; b</text>'));
});

test('numbers are short', (t) => {
  t.is(element('rect', { x: 1 / 3, y: 2 }), '<rect x="0.33" y="2"/>');
  t.deepEqual([0.5, 250, 2500, 25_000, 2_500_000].map(tickText), ['0.5', '250', '2.5k', '25k', '2.5M']);
  t.deepEqual([0, 0.001].map(tickText), ['0', '0.001']);
});

test('linear ticks begin at nothing and reach the largest value', (t) => {
  t.deepEqual(linearTicks(1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  t.deepEqual(linearTicks(1520), [0, 500, 1000, 1500, 2000]);
  t.deepEqual(linearTicks(0), [0, 1]);
  for (const largest of [0.003, 7, 99, 101, 12_345]) {
    const ticks = linearTicks(largest);
    t.true(ticks.length <= 7 && ticks[ticks.length - 1] >= largest, String(largest));
  }
});

test('logarithmic ticks are powers of ten around what there is', (t) => {
  t.deepEqual(logTicks(78, 4200), [10, 100, 1000, 10_000]);
  t.deepEqual(logTicks(100, 1000), [100, 1000]);
  t.deepEqual(logTicks(0.5, 0.5), [0.1, 1]);
  t.deepEqual(logTicks(10, 10), [10, 100]);
});

test('on a logarithmic scale the same factor is the same distance', (t) => {
  const scale = logScale([10, 1000], [200, 0]);
  t.is(scale(10), 200);
  t.true(Math.abs(scale(100) - 100) < 1e-9);
  t.true(Math.abs(scale(1000)) < 1e-9);
});

test('on a linear scale the same difference is the same distance', (t) => {
  t.deepEqual([10, 15, 20].map(linearScale([10, 20], [200, 0])), [200, 100, 0]);
});

test('an axis may end close around what there is, with as many ticks as there is room for', (t) => {
  t.deepEqual(closeLogAxis(2400, 47_000).ticks, [2000, 5000, 10_000, 20_000, 50_000]);
  const wide = closeLogAxis(700, 550_000);
  t.deepEqual(wide.ends, [500, 1_000_000]);
  t.deepEqual(wide.ticks, [1000, 10_000, 100_000, 1_000_000]);
  t.is(wide.steps.length, 11);
  t.deepEqual(closeLogAxis(10, 10).ends, [10, 20]);
  t.deepEqual(closeLogAxis(0.03, 0.7).ticks, [0.02, 0.05, 0.1, 0.2, 0.5, 1]);
});

test('long text is broken between words', (t) => {
  const lines = wrapped('one word and anotherratherlongword at the end', 80);
  t.deepEqual(lines, ['one word and', 'anotherratherlongword', 'at the end']);
  t.deepEqual(wrapped('', 80), ['']);
});

test('no two hues are the same', (t) => {
  t.is(new Set(HUES).size, 10);
  t.true(STRONGEST_HUE < HUES.length);
});

test('bars stand in proportion, in one or in several parts', (t) => {
  const svg = stackedBarChart({
    title: 'a & b',
    note: 'n',
    unit: 'µs',
    series: ['one', 'two'],
    panels: [
      {
        title: 'first',
        bars: [
          { label: '1', values: [10, 30] },
          { label: '<2>', values: [0, 0] },
        ],
      },
    ],
  });
  checkWellFormed(t, svg);
  const widths = [...svg.matchAll(/width="([\d.]+)" height="13"/g)].map((match) => Number(match[1]));
  t.is(widths.length, 4);
  t.true(Math.abs(widths[1] / widths[0] - 3) < 0.01);
  const bars = { title: 'p', bars: [{ label: '4', values: [5] }] };
  checkWellFormed(
    t,
    stackedBarChart({ title: 'op/s', note: '', unit: '/s', series: ['rate'], panels: [bars] }),
  );
});

test('distributions are drawn, what is dashed as such, and what nothing is known of is left out', (t) => {
  const points = [
    { share: 0.01, value: 0 },
    { share: 0.5, value: 100 },
    { share: 0.999, value: 5000 },
  ];
  const series = [
    { label: 'idle', hue: 0, isDashed: false, points },
    { label: 'loaded', hue: 0, isDashed: true, points: points.slice(1) },
  ];
  const svg = distributionChart({
    title: 't',
    note: 'n',
    unit: 'µs',
    panels: [
      { title: 'some', series },
      { title: 'none', series: [{ label: 'x', hue: 1, isDashed: false, points: [] }] },
    ],
  });
  checkWellFormed(t, svg);
  t.is(svg.split('<polyline').length - 1, 2);
  t.is(svg.split('<polyline')[2].includes('stroke-dasharray'), true);
  t.true(svg.includes('too few to say'));
});
