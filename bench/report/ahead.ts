/**
 * Where others are ahead of quadring: by their figure, or in the slowest of their calls. Pure; benchmarks only.
 *
 * Goals are of what was aimed for; what is lost elsewhere would stand in the large tables only.
 */
import type { Spread } from '../support/measure.ts';
import { engineOf, isReference, OWN_ARM } from './arms.ts';
import {
  latencyAt,
  ratiosToFastest,
  spreadOrNull,
  type ComparisonFigures,
  type RowFigures,
} from './figures.ts';
import type { RowDescription } from './rows.ts';

const TAIL_SHARE = 0.99;
/** A p99 within a factor of two is not told of: it varies by as much from run to run. */
const TAIL_FACTOR = 2;

export interface RowAhead {
  readonly description: RowDescription;
  /** Above 1 by the median of the rounds; the fastest comes first. */
  readonly faster: readonly { readonly arm: string; readonly timesAsFast: Spread }[];
  /** p99 of quadring; null where it was not measured. */
  readonly ownTailMicros: number | null;
  /** Who has half of it or less; the shortest comes first. */
  readonly shorterTails: readonly { readonly arm: string; readonly micros: number }[];
}

/** Of all rows in which anybody is. */
export function rowsWithOthersAhead({ arms, groups }: ComparisonFigures): RowAhead[] {
  const rivals = arms.filter((arm) => engineOf(arm) !== OWN_ARM && !isReference(arm));
  return groups
    .flatMap(({ rows }) => rows.map((row) => rowAhead(row, rivals)))
    .filter(({ faster, shorterTails }) => faster.length > 0 || shorterTails.length > 0);
}

function rowAhead(row: RowFigures, rivals: readonly string[]): RowAhead {
  const faster = rivals.flatMap((arm) => {
    const timesAsFast = spreadOrNull(ratiosToFastest(row, arm, [OWN_ARM]));
    return timesAsFast !== null && timesAsFast.median > 1 ? [{ arm, timesAsFast }] : [];
  });
  const ownTailMicros = tailMicros(row, OWN_ARM);
  const shorterTails = rivals.flatMap((arm) => {
    const micros = tailMicros(row, arm);
    if (micros === null || ownTailMicros === null || micros * TAIL_FACTOR > ownTailMicros) return [];
    return [{ arm, micros }];
  });
  return {
    description: row.description,
    faster: faster.toSorted((a, b) => b.timesAsFast.median - a.timesAsFast.median),
    ownTailMicros,
    shorterTails: shorterTails.toSorted((a, b) => a.micros - b.micros),
  };
}

function tailMicros(row: RowFigures, arm: string): number | null {
  return latencyAt(row, arm, TAIL_SHARE)?.median ?? null;
}
