/** Whether what was aimed for was reached. Pure; benchmarks only. */
import type { Spread } from '../support/measure.ts';
import {
  isRate,
  ratiosToFastest,
  spreadOrNull,
  valuesOf,
  type ComparisonFigures,
  type RowFigures,
} from './figures.ts';
import type { Goal, RowDescription } from './rows.ts';

export interface JudgedGoal {
  readonly description: RowDescription;
  readonly goal: Goal;
  /** Ratios, or of an absolute goal the row's figure; null where one of its arms was not measured. */
  readonly seen: Spread | null;
  /** By the median. */
  readonly holds: boolean;
  /** Of how many rounds, and in how many of them the goal holds by itself. */
  readonly rounds: number;
  readonly roundsThatHold: number;
}

/** Of all rows that were measured and have goals. */
export function judgedGoals(
  { groups }: ComparisonFigures,
  descriptions: readonly RowDescription[],
): JudgedGoal[] {
  const rows = new Map(groups.flatMap(({ rows }) => rows.map((row) => [row.description.row, row])));
  return descriptions.flatMap((description) => {
    const row = rows.get(description.row);
    return row === undefined ? [] : description.goals.map((goal) => judgedGoal(goal, row));
  });
}

function judgedGoal(goal: Goal, row: RowFigures): JudgedGoal {
  const { description } = row;
  const isAbsolute = goal.against.length === 0;
  const values = isAbsolute ? valuesOf(row, goal.of) : ratiosToFastest(row, goal.of, goal.against);
  const seen = spreadOrNull(values);
  const isAtLeast = !isAbsolute || isRate(description.figure);
  const isReached = (value: number): boolean =>
    isAtLeast ? value >= goal.timesFaster : value <= goal.timesFaster;
  return {
    description,
    goal,
    seen,
    holds: seen !== null && isReached(seen.median),
    rounds: values.length,
    roundsThatHold: values.filter(isReached).length,
  };
}
