/** The comparison's figures as Markdown tables. Pure; benchmarks only. */
import type { RowAhead } from './ahead.ts';
import { isReference, OWN_ARM } from './arms.ts';
import {
  diskReadBytes,
  figureText,
  isRate,
  latencyAt,
  processorMicros,
  ratiosToFastest,
  roundCount,
  roundsOf,
  spreadOrNull,
  spreadText,
  valuesOf,
  type GroupFigures,
  type RowFigures,
} from './figures.ts';
import type { JudgedGoal } from './goals.ts';
import type { FigureKind } from './rows.ts';

const NOTHING = '–';
const SHOWN_SHARES = [0.5, 0.99, 0.999] as const;

interface Cell {
  readonly text: string;
  /** Of the cells of a row the one with the most is bold; null where they are not to be compared. */
  readonly merit: number | null;
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows];
  return `${lines.map((cells) => `| ${cells.map(escaped).join(' | ')} |`).join('\n')}\n`;
}

/** Those that have anything in the group; the others would be columns of dashes. */
function armsOfGroup({ rows }: GroupFigures, arms: readonly string[]): string[] {
  return arms.filter((arm) => rows.some((row) => roundsOf(row, arm).size > 0));
}

/** A table of one group, with a line for each row; `cellOf` answers null where there is nothing to say. */
function armTable(
  group: GroupFigures,
  arms: readonly string[],
  titleOf: (row: RowFigures) => string,
  cellOf: (row: RowFigures, arm: string) => Cell | null,
): string {
  const columns = armsOfGroup(group, arms);
  const rows = group.rows.map((row) => {
    const cells = columns.map((arm) => cellOf(row, arm));
    const best = bestOf(cells);
    const texts = cells.map((cell) =>
      cell === null ? NOTHING : cell === best ? `**${cell.text}**` : cell.text,
    );
    return [titleOf(row), ...texts];
  });
  return tableOf(['', ...columns], rows);
}

function titleAlone({ description }: RowFigures): string {
  return description.title;
}

function titleWithUnit({ description: { title, figure } }: RowFigures): string {
  return `${title}, ${figure}`;
}

/** Null where nothing stands against another. */
function bestOf(cells: readonly (Cell | null)[]): Cell | null {
  const rivals = cells.filter((cell) => cell !== null).filter(({ merit }) => merit !== null);
  if (rivals.length < 2) return null;
  return rivals.toSorted((a, b) => Number(b.merit) - Number(a.merit))[0];
}

/** Where an arm failed in some of the rounds its figures say so. */
function withRounds(text: string, row: RowFigures, arm: string): string {
  const [has, all] = [roundsOf(row, arm).size, roundCount(row)];
  return has === all ? text : `${text}, ${has} of ${all} rounds`;
}

export function figureTable(group: GroupFigures, arms: readonly string[]): string {
  return armTable(group, arms, titleWithUnit, (row, arm) => {
    const spread = spreadOrNull(valuesOf(row, arm));
    if (spread === null) return null;
    return {
      text: withRounds(spreadText(spread), row, arm),
      merit: isReference(arm) ? null : isRate(row.description.figure) ? spread.median : -spread.median,
    };
  });
}

/** How many times as fast quadring is as each of the others; its own column has its figure. */
export function ratioTable(group: GroupFigures, arms: readonly string[]): string {
  return armTable(group, arms, titleAlone, (row, arm) => {
    if (arm === OWN_ARM) {
      const own = spreadOrNull(valuesOf(row, arm));
      if (own === null) return null;
      return { text: withRounds(withUnit(spreadText(own), row.description.figure), row, arm), merit: -1 };
    }
    const spread = spreadOrNull(ratiosToFastest(row, OWN_ARM, [arm]));
    if (spread === null) return null;
    const text = withRounds(spreadText(spread), row, arm);
    return { text, merit: isReference(arm) ? null : -spread.median };
  });
}

function withUnit(text: string, figure: FigureKind): string {
  return figure === '/s' ? `${text}/s` : `${text} ${figure}`;
}

/** CPU microseconds of an operation, and bytes that the disk read for it: medians. */
export function costTable({ name, rows }: GroupFigures, arms: readonly string[]): string {
  const ofOperations = rows.filter(({ description }) => description.figure !== 'MiB');
  return armTable({ name, rows: ofOperations }, arms, titleAlone, (row, arm) => {
    const processor = processorMicros(row, arm);
    const disk = diskReadBytes(row, arm);
    if (processor === null || disk === null) return null;
    return { text: `${figureText(processor.median)} / ${figureText(disk.median)}`, merit: null };
  });
}

/** p50, p99 and p99.9, each the median of the rounds that had enough calls to know it. */
export function latencyTable(group: GroupFigures, arms: readonly string[]): string {
  const { name, rows } = group;
  const ofLatencies = rows.filter((row) => arms.some((arm) => hasLatencies(row, arm)));
  return armTable({ name, rows: ofLatencies }, arms, titleAlone, (row, arm) => {
    if (!hasLatencies(row, arm)) return null;
    const cells = SHOWN_SHARES.map((share) => latencyAt(row, arm, share));
    return {
      text: cells.map((cell) => (cell === null ? NOTHING : figureText(cell.median))).join(' / '),
      merit: null,
    };
  });
}

export function hasLatencies(row: RowFigures, arm: string): boolean {
  return [...roundsOf(row, arm).values()].some(({ latencyMicros }) => latencyMicros !== null);
}

export function goalsTable(goals: readonly JudgedGoal[]): string {
  const rows = goals.map((judged) => {
    const { description, goal, seen } = judged;
    if (seen === null) return [description.title, goal.text, NOTHING, 'not measured'];
    const text = spreadText(seen);
    const withMeaning = goal.against.length === 0 ? withUnit(text, description.figure) : `${text} times`;
    return [description.title, goal.text, withMeaning, verdictOf(judged)];
  });
  return tableOf(['', 'goal', 'seen', 'holds'], rows);
}

/** Says so where the rounds do not agree. */
function verdictOf({ holds, rounds, roundsThatHold }: JudgedGoal): string {
  const verdict = holds ? 'yes' : 'no';
  const agree = roundsThatHold === (holds ? rounds : 0);
  return agree ? verdict : `${verdict}; in ${roundsThatHold} of ${rounds} rounds`;
}

/** Who is ahead of quadring in which row. */
export function aheadTable(rows: readonly RowAhead[]): string {
  const lines = rows.map(({ description, faster, ownTailMicros, shorterTails }) => [
    description.title,
    faster.map(({ arm, timesAsFast }) => `${arm} ${spreadText(timesAsFast)}`).join('; ') || NOTHING,
    ownTailMicros === null || shorterTails.length === 0
      ? NOTHING
      : `${figureText(ownTailMicros)}: ${shorterTails.map(({ arm, micros }) => `${arm} ${figureText(micros)}`).join('; ')}`,
  ]);
  return tableOf(
    ['', 'times as fast as quadring', 'p99 of quadring in µs, and of who has half of it or less'],
    lines,
  );
}
