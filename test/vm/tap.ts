/** What ava prints with `--tap`, as far as it matters here: how each test ended. Pure. */

export interface TapResults {
  readonly passed: number;
  readonly skipped: number;
  /** Titles, each with what ava says of it. */
  readonly failures: readonly string[];
}

/** Lines about a failure that are kept, and failures whose lines are. */
const DETAIL_LINES_MAX = 40;

/** Lines that begin at the margin end what ava says of a failure. */
export function parseTap(text: string): TapResults {
  let passed = 0;
  let skipped = 0;
  const failures: string[][] = [];
  let open: string[] | undefined;
  for (const line of text.split('\n')) {
    const [, not, title] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
    if (title === undefined) {
      if (open !== undefined && /^\s+\S/.test(line)) {
        if (open.length <= DETAIL_LINES_MAX) open.push(line);
      } else open = undefined;
    } else if (title.includes(' # SKIP')) {
      open = undefined;
      skipped++;
    } else if (not === undefined) {
      open = undefined;
      passed++;
    } else {
      open = [title];
      failures.push(open);
    }
  }
  return { passed, skipped, failures: failures.map((lines) => lines.join('\n')) };
}
