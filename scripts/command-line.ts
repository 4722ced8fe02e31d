/**
 * The command lines of the scripts and benchmarks: their options, with `--help` and one line about what is wrong with one.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util';

type Options = NonNullable<ParseArgsConfig['options']>;
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

/** Something is wrong with what a command was called with; the message says what. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * The values of a command's options. Prints them and ends the process where `--help` is among them; ends it with 2 where
 * there is one that does not exist, or that lacks its value. `command`: as in `npm run <command>`.
 */
export function commandLine<const T extends Options>(command: string, options: T): Values<T> {
  return parse(command, options, false).values;
}

/** The same of a command that takes other words as well. */
export function commandLineWithWords<const T extends Options>(
  command: string,
  options: T,
): { values: Values<T>; words: string[] } {
  const { values, positionals } = parse(command, options, true);
  return { values, words: positionals };
}

function parse<const T extends Options>(
  command: string,
  options: T,
  allowPositionals: boolean,
): ReturnType<typeof parseArgs<{ options: T; allowPositionals: boolean }>> {
  const ends = process.argv.indexOf('--');
  if (process.argv.slice(2, ends === -1 ? undefined : ends).includes('--help')) {
    console.log(usageOf(command, options));
    process.exit(0);
  }
  try {
    return parseArgs({ options, allowPositionals });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // A second sentence of Node's is about words that look like options.
    console.error(`${error.message.split('. ')[0]}\n${usageOf(command, options)}`);
    process.exit(2);
  }
}

/**
 * Runs a command to its end. Of a UsageError, and of errors of the classes that are `known`, only the message is printed;
 * the process ends with 2 after the first, with 1 after any other.
 */
export async function runCommand(
  main: () => Promise<void> | void,
  ...known: readonly (new (message: string) => Error)[]
): Promise<void> {
  try {
    await main();
  } catch (error) {
    const isUsage = error instanceof UsageError;
    const isKnown = isUsage || known.some((one) => error instanceof one);
    console.error(isKnown ? (error as Error).message : error);
    process.exitCode = isUsage ? 2 : 1;
  }
}

/** Throws UsageError unless it is one from `least` to below 2^31. */
export function wholeNumber(name: string, text: string, least = 0): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= least && value < 2 ** 31) return value;
  throw new UsageError(`--${name} must be a whole number from ${least} to below 2^31, not "${text}"`);
}

/** Throws UsageError unless it is one of them. */
export function oneOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((one) => one === text);
  if (choice !== undefined) return choice;
  throw new UsageError(`--${name} must be one of ${choices.join(', ')}, not "${text}"`);
}

function usageOf(command: string, options: Options): string {
  const described = Object.entries(options).map(([name, { type, default: value }]) => {
    if (type === 'boolean') return `[--${name}]`;
    return `[--${name} ${typeof value === 'string' && value !== '' ? value : '…'}]`;
  });
  return `usage: npm run ${command} -- ${described.join(' ')}`;
}
