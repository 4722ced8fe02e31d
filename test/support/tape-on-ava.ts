/**
 * tape's `test` function over ava, for abstract-level's public test suite, which is written for tape.
 *
 * Of tape it imitates what that suite uses:
 * - Tests run one after the other, in the order in which they were declared.
 * - A test ends when the promise that it returned is settled; where it returned none, when `end()` is called or when as
 *   many assertions have been made as `plan()` announced.
 * - An assertion that fails does not end its test: what comes behind it runs, and all failures are told together.
 * - More or fewer assertions than planned are a failure, and so are a second `end()` and an assertion behind the end.
 * - Methods are used detached, as callbacks, and messages may be anything.
 *
 * It is stricter in one thing: with a plan and a promise, the test ends only when the promise is settled too. tape would
 * begin the next test in the midst of this one's clean-up.
 */
import test, { type ExecutionContext } from 'ava';
import { inspect, isDeepStrictEqual } from 'node:util';

/** What a test is given. */
export interface TapeTest {
  plan(count: number): void;
  end(): void;
  pass(message?: unknown): void;
  fail(message?: unknown): void;
  ok(value: unknown, message?: unknown): void;
  is(actual: unknown, expected: unknown, message?: unknown): void;
  isNot(actual: unknown, unexpected: unknown, message?: unknown): void;
  same(actual: unknown, expected: unknown, message?: unknown): void;
  throws(run: () => void, check: (error: unknown) => boolean, message?: unknown): void;
  doesNotThrow(run: () => void, message?: unknown): void;
}

/** tape's own `test`, as far as the suite uses it. */
export type TapeFunction = (name: string, run: (t: TapeTest) => unknown) => void;

/** Longest time that one test may take. */
const TEST_MS_MAX = 30_000;

/** Declares a test of ava for each of tape's, and one more that looks for assertions that came too late. */
export function tapeOnAva(): TapeFunction {
  const used = new Map<string, number>();
  const late: string[] = [];
  test.after.always('no assertion was made behind the end of its test', (t) => {
    t.deepEqual(late, []);
  });
  return (name, run) => {
    // tape allows two tests of one name, and the suite has many.
    const count = (used.get(name) ?? 0) + 1;
    used.set(name, count);
    const title = count === 1 ? name : `${name} (${count})`;
    test.serial(title, (t) => new Run(title, late).finish(t, run));
  };
}

class Run implements TapeTest {
  readonly #title: string;
  readonly #late: string[];
  readonly #failures: string[] = [];
  readonly #ended: Promise<void>;
  #resolve!: () => void;
  #planned: number | undefined;
  #made = 0;
  #returnedPromise = false;
  #hasEnded = false;

  constructor(title: string, late: string[]) {
    this.#title = title;
    this.#late = late;
    this.#ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Runs the test to its end and tells ava how it went. */
  async finish(t: ExecutionContext, run: (t: TapeTest) => unknown): Promise<void> {
    t.timeout(2 * TEST_MS_MAX);
    const timer = setTimeout(() => {
      this.#failures.push(`the test did not end within ${TEST_MS_MAX} ms; ${this.#tally()}`);
      this.#endNow();
    }, TEST_MS_MAX);
    this.#start(run);
    await this.#ended;
    clearTimeout(timer);
    if (this.#failures.length > 0) t.fail(this.#failures.join('\n'));
    else t.pass();
  }

  plan = (count: number): void => {
    this.#planned = count;
    this.#endWhenComplete();
  };

  end = (): void => {
    if (this.#hasEnded) this.#late.push(`${this.#title}: end() was called twice`);
    else this.#endAsPlanned();
  };

  pass = (message?: unknown): void => this.#assert(true, message, '');

  fail = (message?: unknown): void => this.#assert(false, message, 'failed');

  ok = (value: unknown, message?: unknown): void =>
    this.#assert(Boolean(value), message, `${inspect(value)} is not truthy`);

  is = (actual: unknown, expected: unknown, message?: unknown): void =>
    this.#assert(Object.is(actual, expected), message, `${inspect(actual)} is not ${inspect(expected)}`);

  isNot = (actual: unknown, unexpected: unknown, message?: unknown): void =>
    this.#assert(!Object.is(actual, unexpected), message, `is ${inspect(unexpected)}`);

  same = (actual: unknown, expected: unknown, message?: unknown): void =>
    this.#assert(
      isDeepStrictEqual(actual, expected),
      message,
      `${inspect(actual, { depth: 5 })} does not equal ${inspect(expected, { depth: 5 })}`,
    );

  throws = (run: () => void, check: (error: unknown) => boolean, message?: unknown): void => {
    try {
      run();
    } catch (error) {
      this.#assert(check(error), message, `threw another error: ${inspect(error)}`);
      return;
    }
    this.#assert(false, message, 'did not throw');
  };

  doesNotThrow = (run: () => void, message?: unknown): void => {
    try {
      run();
    } catch (error) {
      this.#assert(false, message, `threw ${inspect(error)}`);
      return;
    }
    this.#assert(true, message, '');
  };

  #start(run: (t: TapeTest) => unknown): void {
    let returned: unknown;
    try {
      returned = run(this);
    } catch (error) {
      this.#failures.push(`the test threw ${inspect(error)}`);
      this.#endNow();
      return;
    }
    if (!(returned instanceof Promise)) return;
    this.#returnedPromise = true;
    returned.then(
      () => this.#endAsPlanned(),
      (error: unknown) => {
        this.#failures.push(`the test's promise was rejected with ${inspect(error)}`);
        this.#endNow();
      },
    );
  }

  /** One assertion. */
  #assert(passed: boolean, message: unknown, reason: string): void {
    if (this.#hasEnded) {
      this.#late.push(`${this.#title}: ${textOf(message)}`);
      return;
    }
    this.#made++;
    if (!passed) {
      const what = message === undefined ? '' : `${textOf(message)}: `;
      this.#failures.push(`${what}${reason}${callerPlace()}`);
    }
    this.#endWhenComplete();
  }

  /** A moment later, so that an assertion too many is still counted. */
  #endWhenComplete(): void {
    setImmediate(() => {
      if (this.#planned !== undefined && this.#made >= this.#planned && !this.#returnedPromise) {
        this.#endAsPlanned();
      }
    });
  }

  #endAsPlanned(): void {
    if (this.#hasEnded) return;
    if (this.#planned !== undefined && this.#made !== this.#planned) this.#failures.push(this.#tally());
    this.#endNow();
  }

  #endNow(): void {
    this.#hasEnded = true;
    this.#resolve();
  }

  #tally(): string {
    const planned = this.#planned === undefined ? '' : ` of ${this.#planned} planned`;
    return `${this.#made}${planned} assertions were made`;
  }
}

function textOf(message: unknown): string {
  return typeof message === 'string' ? message : inspect(message);
}

/** The line of the suite that made the assertion. */
function callerPlace(): string {
  const frames = new Error().stack?.split('\n').slice(1) ?? [];
  return `\n${frames.find((frame) => !frame.includes('tape-on-ava')) ?? ''}`;
}
