#!/usr/bin/env node
/**
 * The command line: `quadring verify <directory>` and `quadring repair <directory>`. The caller's thread.
 *
 * Exit codes are for scripts: 0 sound, 1 something is damaged or was lost, 2 nothing can be said.
 */
import { parseArgs } from 'node:util';
import { Database, QuadringError, type RepairReport, type VerifyReport } from '../index.ts';
import { formatRepair, formatVerification, toJson } from './reports.ts';

const USAGE = `usage: quadring verify <directory> [--json] [--lock-timeout <ms>]
       quadring repair <directory> [--json] [--lock-timeout <ms>]
                       [--hide-older likely|all|none] [--take-behind-gaps]

verify  looks at every byte of every file, and changes nothing
repair  makes what still verifies into a database that opens; what it replaces is put aside, in lost-NNNNNN

Nobody may have the database open. Exit codes: 0 sound (repair: nothing was lost), 1 damaged (repair: something was lost),
2 nothing can be said.`;

const SOUND = 0;
const DAMAGED = 1;
const UNKNOWN = 2;

interface Command {
  readonly name: 'verify' | 'repair';
  readonly directory: string;
  readonly json: boolean;
  readonly lockTimeoutMs: number | undefined;
  readonly hideOlder: string | undefined;
  readonly takeBehindGaps: boolean;
}

/** Undefined where the usage was asked for. Throws a TypeError that says what is wrong. */
function commandOf(args: string[]): Command | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      'lock-timeout': { type: 'string' },
      'hide-older': { type: 'string' },
      'take-behind-gaps': { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const [name, directory, ...rest] = positionals;
  if (name !== 'verify' && name !== 'repair') throw new TypeError(`there is no command "${name ?? ''}"`);
  if (directory === undefined || rest.length > 0) throw new TypeError('one directory is needed');
  if (name === 'verify' && (values['hide-older'] !== undefined || values['take-behind-gaps']))
    throw new TypeError('only a repair hides or takes something');
  return {
    name,
    directory,
    json: values.json,
    lockTimeoutMs: millisecondsOf(values['lock-timeout']),
    hideOlder: values['hide-older'],
    takeBehindGaps: values['take-behind-gaps'],
  };
}

function millisecondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new TypeError(`--lock-timeout must be milliseconds, not "${text}"`);
  return Number(text);
}

async function verify({ directory, json, lockTimeoutMs }: Command): Promise<number> {
  const report: VerifyReport = await Database.verify(
    directory,
    lockTimeoutMs === undefined ? {} : { lockTimeoutMs },
  );
  console.log(json ? toJson(report) : formatVerification(report));
  return report.isSound ? SOUND : DAMAGED;
}

async function repair(command: Command): Promise<number> {
  const { directory, json, lockTimeoutMs, hideOlder, takeBehindGaps } = command;
  const report: RepairReport = await Database.repair(directory, {
    takeBehindGaps,
    ...(lockTimeoutMs === undefined ? {} : { lockTimeoutMs }),
    // What is not one of the three is refused by `repair`, which says so.
    ...(hideOlder === undefined ? {} : { hideOlder: hideOlder as 'likely' }),
  });
  console.log(json ? toJson(report) : formatRepair(report));
  return report.lost.length === 0 ? SOUND : DAMAGED;
}

async function main(args: string[]): Promise<number> {
  let command: Command | undefined;
  try {
    command = commandOf(args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`quadring: ${error.message}\n\n${USAGE}`);
    return UNKNOWN;
  }
  if (command === undefined) {
    console.log(USAGE);
    return SOUND;
  }
  try {
    return await (command.name === 'verify' ? verify(command) : repair(command));
  } catch (error) {
    if (!(error instanceof QuadringError)) {
      // Node would exit with 1 itself, which says that something is damaged.
      console.error(error);
      return UNKNOWN;
    }
    if (command.json) console.log(toJson({ code: error.code, message: error.message }));
    else console.error(`quadring: ${error.code}: ${error.message}`);
    return UNKNOWN;
  }
}

process.exitCode = await main(process.argv.slice(2));
