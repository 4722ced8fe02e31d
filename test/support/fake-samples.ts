/** Samples of a comparison that nobody measured. */
import type { RowDescription } from '../../bench/report/rows.ts';
import type { Sample } from '../../bench/workload/sample.ts';
import { LATENCY_SHARES, type Measured } from '../../bench/workload/session.ts';

export function fakeMeasured(row: string, measured: Partial<Measured>): Measured {
  return {
    row,
    operations: 1000,
    calls: measured.operations ?? 1000,
    seconds: 1,
    cpuSeconds: 2,
    diskReadBytes: 0,
    diskWriteBytes: 0,
    latencyMicros: null,
    residentBytes: 64 * 2 ** 20,
    ...measured,
  };
}

/** One sample for each round; a round that is null failed. */
export function fakeSamples(
  row: string,
  arm: string,
  rounds: readonly (Partial<Measured> | null)[],
  group = 'cached',
): Sample[] {
  return rounds.flatMap((measured, round) =>
    measured === null ? [] : [{ group, row, arm, round, measured: fakeMeasured(row, measured) }],
  );
}

/** A thousand operations in so many seconds each. */
export function fakeSeconds(row: string, arm: string, seconds: readonly number[], group?: string): Sample[] {
  return fakeSamples(
    row,
    arm,
    seconds.map((one) => ({ seconds: one })),
    group,
  );
}

/** As many microseconds as per cent of the calls were faster. */
export const FAKE_LATENCIES = LATENCY_SHARES.map((share) => share * 100);

export function fakeRow(row: string, description: Partial<RowDescription> = {}): RowDescription {
  return { row, title: `the ${row}`, figure: '/s', goals: [], ...description };
}
