/**
 * The comparison's report: lines of JSON, Markdown with tables and charts, and the same Markdown put into a document.
 * Benchmarks only.
 */
import { strict as assert } from 'node:assert';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { timelineChart, type Timeline } from '../support/svg-timelines.ts';
import type { Sample } from '../workload/sample.ts';
import { rowsWithOthersAhead } from './ahead.ts';
import { chartsOf, type Chart } from './charts.ts';
import { figuresOf, roundCount, type ComparisonFigures, type GroupFigures } from './figures.ts';
import { judgedGoals } from './goals.ts';
import {
  aheadTable,
  costTable,
  figureTable,
  goalsTable,
  hasLatencies,
  latencyTable,
  ratioTable,
} from './markdown.ts';
import type { Machine, RowDescription } from './rows.ts';

/** The part of a document that a report of this name takes. */
export function markersOf(name: string): readonly [begin: string, end: string] {
  return [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
}

/** What happened in the course of one arm's row. */
export interface NamedTimeline {
  /** Of its file: `time-NAME.svg`, behind the report's. */
  readonly name: string;
  readonly title: string;
  readonly timeline: Timeline;
}

export interface Report {
  /** Of its files, and of its part of a document. */
  readonly name: string;
  readonly charts: readonly Chart[];
  /** With links to the charts that begin so. */
  readonly markdown: (chartPrefix: string) => string;
}

export interface ReportFolders {
  /** Of the lines of JSON and the Markdown. */
  readonly results: string;
  readonly charts: string;
}

export function reportOf(
  reportName: string,
  samples: readonly Sample[],
  rows: readonly RowDescription[],
  machine: Machine,
  timelines: readonly NamedTimeline[] = [],
): Report {
  const figures = figuresOf(samples, rows);
  const place = placeText(machine);
  const drawn = [
    ...chartsOf(figures, `${place}, rounds: ${mostRounds(figures)}`),
    ...timelines.map(({ name, title, timeline }) => ({
      name: `time-${name}.svg`,
      description: title,
      svg: timelineChart({ title, note: place, timeline }),
    })),
  ];
  const charts = drawn.map((chart) => ({ ...chart, name: `${reportName}-${chart.name}` }));
  const sections = [
    headerText(machine),
    goalsSection(figures, rows),
    aheadSection(figures, rows),
    ...figures.groups.map((group) => groupSection(group, figures.arms)),
  ];
  const markdown = (chartPrefix: string): string =>
    [...sections.filter((section) => section !== ''), chartsSection(charts, chartPrefix)].join('\n');
  return { name: reportName, charts, markdown };
}

/**
 * Replaces what an earlier run of this name wrote. The samples are written first: whatever they show, they are not lost.
 */
export function writeReport(
  name: string,
  samples: readonly Sample[],
  rows: readonly RowDescription[],
  machine: Machine,
  folders: ReportFolders,
  timelines: readonly NamedTimeline[] = [],
): Report {
  mkdirSync(folders.charts, { recursive: true });
  writeSamples(name, samples, machine, folders.results);
  const report = reportOf(name, samples, rows, machine, timelines);
  for (const chart of report.charts) writeFileSync(join(folders.charts, chart.name), chart.svg);
  const markdown = report.markdown(linkPrefix(folders.results, folders.charts));
  writeFileSync(join(folders.results, `${name}.md`), `## Comparison with other engines\n\n${markdown}`);
  return report;
}

/** As lines of JSON. */
export function writeSamples(
  name: string,
  samples: readonly Sample[],
  machine: Machine,
  folder: string,
): void {
  mkdirSync(folder, { recursive: true });
  const lines = samples.map((sample) => `${JSON.stringify({ ...sample, machine })}\n`);
  writeFileSync(join(folder, `${name}.jsonl`), lines.join(''));
}

/** Puts the report between its markers of a document. */
export function updateDocument(path: string, report: Report, chartsFolder: string): void {
  const markdown = report.markdown(linkPrefix(dirname(path), chartsFolder));
  writeFileSync(path, betweenMarkers(readFileSync(path, 'utf8'), markersOf(report.name), markdown));
}

/** The document with `content` in place of what is between its markers. */
export function betweenMarkers(
  document: string,
  [begin, end]: readonly [string, string],
  content: string,
): string {
  const [begins, ends] = [document.split(begin), document.split(end)];
  assert(begins.length === 2, `the document has to have ${begin} once, not ${begins.length - 1} times`);
  assert(ends.length === 2, `the document has to have ${end} once, not ${ends.length - 1} times`);
  const [before, after] = [begins[0], ends[1]];
  assert(ends[0].length > before.length, `${end} stands before ${begin}`);
  return `${before}${begin}\n\n${content.trim()}\n\n${end}${after}`;
}

function linkPrefix(from: string, charts: string): string {
  const path = relative(from, charts).split(sep).join('/');
  return path === '' ? '' : `${path}/`;
}

function placeText({ cpu, cores, kernel, node }: Machine): string {
  return `${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}`;
}

function mostRounds({ groups }: ComparisonFigures): number {
  return Math.max(0, ...groups.flatMap(({ rows }) => rows.map(roundCount)));
}

function headerText(machine: Machine): string {
  const { date, command, versions, notes } = machine;
  const engines = Object.entries(versions).map(([engine, version]) => `${engine} ${version}`);
  const lines = [
    `\`${command}\`; measured ${date} on ${placeText(machine)}.`,
    `Versions: ${engines.join(', ')}.`,
    'Figures are medians of the rounds, with minimum and maximum; the best of a row is bold; – is what an engine does not',
    'have, failed at, or had in memory where the disk is meant. Times as fast is taken inside of each round; of memory it',
    'says how many times less.',
  ];
  const noteLines = notes.map((note) => `- ${note}`);
  return `${lines.join('\n')}\n${noteLines.length > 0 ? `\n${noteLines.join('\n')}\n` : ''}`;
}

function goalsSection(figures: ComparisonFigures, rows: readonly RowDescription[]): string {
  const goals = judgedGoals(figures, rows);
  return goals.length === 0 ? '' : `### Goals\n\n${goalsTable(goals)}`;
}

/** Beside the goals only: where nothing is aimed for, the tables say it. */
function aheadSection(figures: ComparisonFigures, rows: readonly RowDescription[]): string {
  const ahead = rows.some(({ goals }) => goals.length > 0) ? rowsWithOthersAhead(figures) : [];
  return ahead.length === 0 ? '' : `### Where another is ahead\n\n${aheadTable(ahead)}`;
}

function groupSection(group: GroupFigures, arms: readonly string[]): string {
  const tables = [
    `### ${group.name}\n`,
    figureTable(group, arms),
    'quadring, and how many times as fast as each of the others it is:\n',
    ratioTable(group, arms),
  ];
  if (group.rows.some(({ description }) => description.figure !== 'MiB')) {
    const caption = 'CPU microseconds of all threads / bytes that the disk read, of an operation:\n';
    tables.push(caption, costTable(group, arms));
  }
  if (group.rows.some((row) => arms.some((arm) => hasLatencies(row, arm)))) {
    tables.push('Latency of a call in µs, p50 / p99 / p99.9:\n', latencyTable(group, arms));
  }
  return tables.join('\n');
}

function chartsSection(charts: readonly Chart[], prefix: string): string {
  const images = charts.map(({ name, description }) => `![${description}](${prefix}${name})\n`);
  return images.length === 0 ? '' : `### Charts\n\n${images.join('\n')}`;
}
