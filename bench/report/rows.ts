/** What the report is told of the rows, and of where they were measured. Types only; benchmarks only. */

/** `CPU ns` is the processor time of all threads for an operation. `MB/s` is of entries where a row says how many bytes they have, otherwise of what the disk read and wrote. */
export type FigureKind = 'ns' | '/s' | 'ms' | 'MB/s' | 'MiB' | 'CPU ns';

export interface Goal {
  readonly of: string;
  /** Arms, of which the fastest one counts; none for a goal that is absolute, in the row's figure. */
  readonly against: readonly string[];
  /** How many times as fast `of` has to be; of an absolute goal the least rate, or the most time or memory. */
  readonly timesFaster: number;
  readonly text: string;
}

/** A row that is a point of a curve: one more number beside which the arms are drawn. */
export interface CurvePoint {
  readonly across: 'in flight' | 'entries';
  /** Rows with the same name are one panel; they have the same figure. */
  readonly panel: string;
  readonly at: number;
}

export interface RowDescription {
  /** As in `Measured.row`. */
  readonly row: string;
  readonly title: string;
  /** How its samples are shown. */
  readonly figure: FigureKind;
  readonly goals: readonly Goal[];
  readonly curve?: CurvePoint;
  /** An arm whose operations made the disk read less than this, each, did not do what the row is about. */
  readonly diskBytesMin?: number;
  /** Key and value of an operation's entries, where the figure is `MB/s` of these. */
  readonly operationBytes?: number;
}

export interface Machine {
  readonly node: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  /** When it was measured, as it is to be read. */
  readonly date: string;
  /** What repeats it. */
  readonly command: string;
  /** What the engines say of how they were opened. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Of the engines. */
  readonly versions: Readonly<Record<string, string>>;
  /** What whoever reads the figures must know: of an engine that failed, for example. */
  readonly notes: readonly string[];
}
