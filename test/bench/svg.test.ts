/** Charts as text: what is written into them, and where things stand. */
import test, { type ExecutionContext } from 'ava';
import {
  BACKGROUND,
  element,
  escapeXml,
  linearTicks,
  logScale,
  logTicks,
  text,
  tickText,
} from '../../bench/support/svg.ts';
import { distributionChart, stackedBarChart } from '../../bench/support/svg-charts.ts';

test('whatever a name has in it, it ends neither its element nor its attribute', (t) => {
  t.is(escapeXml(`<a href="x">&'`), '&lt;a href=&quot;x&quot;&gt;&amp;&apos;');
  t.is(escapeXml('&amp;'), '&amp;amp;');
  t.is(element('g', { id: '"/><script>' }), '<g id="&quot;/&gt;&lt;script&gt;"/>');
  t.true(text(1, 2, 'a < b').includes('>a &lt; b</text>'));
});

test('numbers are short', (t) => {
  t.is(element('rect', { x: 1 / 3, y: 2 }), '<rect x="0.33" y="2"/>');
  t.deepEqual([0.5, 250, 2500, 25_000, 2_500_000].map(tickText), ['0.5', '250', '2.5k', '25k', '2.5M']);
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

/** Elements that are opened are closed, in order, and nothing else is in it. */
function checkWellFormed(t: ExecutionContext, svg: string): void {
  const open: string[] = [];
  for (const [, closing, name, empty] of svg.matchAll(/<(\/?)([a-z]+)(?: [a-z0-9-]+="[^"<>]*")*(\/?)>/gi)) {
    if (closing !== '') t.is(open.pop(), name);
    else if (empty === '') open.push(name);
  }
  t.deepEqual(open, []);
  t.false(/NaN|Infinity|undefined/.test(svg));
  t.is(svg.split('<').length, svg.split('>').length);
  t.true(svg.includes(`fill="${BACKGROUND}"`), 'it brings its background');
}

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
