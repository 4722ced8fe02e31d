/** What the demo prints: headings, lines, progress, tables. Plain where nobody watches: not a terminal, or CI. */
import cliProgress from 'cli-progress';
import Table from 'cli-table3';
import picocolors from 'picocolors';

// Of a pipe isTTY is undefined, whatever its type says.
const watched = process.stdout.isTTY === true && !process.env['CI'];
const colors = picocolors.createColors(watched && picocolors.isColorSupported);
/** Of progress lines, where there is no bar. */
const PROGRESS_LINES = 4;

export const { bold, dim, green, red, cyan } = colors;

export function heading(text: string): void {
  console.log(`\n${bold(cyan(text))}`);
}

export function line(text: string): void {
  console.log(`  ${text}`);
}

export interface Progress {
  update(done: number): void;
  stop(): void;
}

/** A bar, or a line for every quarter. */
export function progress(what: string, total: number): Progress {
  if (watched) {
    const format = `  ${what} {bar} {percentage}% ${dim('{value} of {total}')}`;
    const bar = new cliProgress.SingleBar({ format, hideCursor: true }, cliProgress.Presets.shades_classic);
    bar.start(total, 0);
    return { update: (done) => bar.update(done), stop: () => bar.stop() };
  }
  let said = 0;
  return {
    update: (done) => {
      const quarter = Math.floor((done * PROGRESS_LINES) / total);
      if (quarter === said) return;
      said = quarter;
      line(`${what} ${whole(done)} of ${whole(total)}`);
    },
    stop: () => undefined,
  };
}

/** The first column is text, the others are figures. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const printed = new Table({
    head: head.map((text) => bold(text)),
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) printed.push([...row]);
  console.log(printed.toString());
}

export function whole(figure: number): string {
  return Math.round(figure).toLocaleString('en-US');
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Things a second, from how many there were and the milliseconds that they took. */
export function rate(count: number, milliseconds: number): string {
  return whole((count * 1000) / milliseconds);
}
