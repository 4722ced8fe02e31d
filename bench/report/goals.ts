/** Whether what was aimed for was reached. Pure; benchmarks only. */
import type { Spread } from '../support/measure.ts';
import {
  isRate,
  ratiosOf,
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
}

/** Of all rows that have goals, measured or not. */
export function judgedGoals(
  { groups }: ComparisonFigures,
  descriptions: readonly RowDescription[],
): JudgedGoal[] {
  const rows = new Map(groups.flatMap(({ rows }) => rows.map((row) => [row.description.row, row])));
  return descriptions.flatMap((description) =>
    description.goals.map((goal) => judgedGoal(goal, description, rows.get(description.row))),
  );
}

function judgedGoal(goal: Goal, description: RowDescription, row: RowFigures | undefined): JudgedGoal {
  const isAbsolute = goal.against === '';
  const seen =
    row === undefined
      ? null
      : spreadOrNull(isAbsolute ? valuesOf(row, goal.of) : ratiosOf(row, goal.of, goal.against));
  const isAtLeast = !isAbsolute || isRate(description.figure);
  const holds =
    seen !== null && (isAtLeast ? seen.median >= goal.timesFaster : seen.median <= goal.timesFaster);
  return { description, goal, seen, holds };
}
