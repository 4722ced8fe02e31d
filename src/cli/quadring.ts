#!/usr/bin/env node
/**
 * The command line: `quadring verify <directory>`, `quadring repair <directory>`, `quadring probe [directory]`. The
 * caller's thread.
 *
 * Exit codes are for scripts: 0 sound, 1 something is damaged or was lost, 2 nothing can be said.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Database, QuadringError, type RepairReport, type VerifyReport } from '../index.ts';
import { formatProbe } from './probe-report.ts';
import { probe } from './probe.ts';
import { formatRepair, formatVerification, toJson } from './reports.ts';

const USAGE = `usage: quadring verify <directory> [--json] [--lock-timeout <ms>]
       quadring repair <directory> [--json] [--lock-timeout <ms>]
                       [--hide-older likely|all|none] [--take-behind-gaps]
       quadring probe [directory] [--json]
       quadring --version

verify  looks at every byte of every file, and changes nothing
repair  makes what still verifies into a database that opens; what it replaces is put aside, in lost-NNNNNN
probe   says what the kernel's io_uring, the limits of this process and the disk below the directory allow, and what could
        be changed

Nobody may have a database open that is verified or repaired. Exit codes: 0 sound (repair: nothing was lost), 1 damaged
(repair: something was lost), 2 nothing can be said. A probe exits with 0, or 2.`;

const SOUND = 0;
const DAMAGED = 1;
const UNKNOWN = 2;
const PROBE_OPTIONS = new Set(['json', 'help', 'version']);
const HIDE_OLDER = ['likely', 'all', 'none'] as const;
/** This file is compiled to dist/src/cli/. */
const PACKAGE = new URL('../../../package.json', import.meta.url);

interface ProbeCommand {
  readonly name: 'probe';
  readonly directory: string | undefined;
  readonly json: boolean;
}

interface DatabaseCommand {
  readonly name: 'verify' | 'repair';
  readonly directory: string;
  readonly json: boolean;
  readonly lockTimeoutMs: number | undefined;
  readonly hideOlder: (typeof HIDE_OLDER)[number] | undefined;
  readonly takeBehindGaps: boolean;
}

/** What was asked for where it is no command. Throws a TypeError that says what is wrong. */
function commandOf(args: string[]): DatabaseCommand | ProbeCommand | 'usage' | 'version' {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      version: { type: 'boolean', default: false },
      'lock-timeout': { type: 'string' },
      'hide-older': { type: 'string' },
      'take-behind-gaps': { type: 'boolean', default: false },
    },
  });
  const [name, directory, ...rest] = positionals;
  if (values.help || name === 'help') return 'usage';
  if (values.version) return 'version';
  const { json } = values;
  if (name === 'probe') {
    if (rest.length > 0) throw new TypeError('one directory at most');
    if (Object.keys(values).some((option) => !PROBE_OPTIONS.has(option) && values[option as 'json']))
      throw new TypeError('a probe takes --json only');
    return { name, directory, json };
  }
  if (name !== 'verify' && name !== 'repair') throw new TypeError(`there is no command "${name ?? ''}"`);
  if (directory === undefined || rest.length > 0) throw new TypeError('one directory is needed');
  if (name === 'verify' && (values['hide-older'] !== undefined || values['take-behind-gaps']))
    throw new TypeError('only a repair hides or takes something');
  return {
    name,
    directory,
    json,
    lockTimeoutMs: millisecondsOf(values['lock-timeout']),
    hideOlder: hideOlderOf(values['hide-older']),
    takeBehindGaps: values['take-behind-gaps'],
  };
}

function millisecondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new TypeError(`--lock-timeout must be milliseconds, not "${text}"`);
  return Number(text);
}

function hideOlderOf(text: string | undefined): DatabaseCommand['hideOlder'] {
  if (text === undefined) return undefined;
  const found = HIDE_OLDER.find((one) => one === text);
  if (found !== undefined) return found;
  throw new TypeError(`--hide-older must be ${HIDE_OLDER.join(', ')}, not "${text}"`);
}

async function verify({ directory, json, lockTimeoutMs }: DatabaseCommand): Promise<number> {
  const report: VerifyReport = await Database.verify(
    directory,
    lockTimeoutMs === undefined ? {} : { lockTimeoutMs },
  );
  console.log(json ? toJson(report) : formatVerification(report));
  return report.isSound ? SOUND : DAMAGED;
}

async function repair(command: DatabaseCommand): Promise<number> {
  const { directory, json, lockTimeoutMs, hideOlder, takeBehindGaps } = command;
  const report: RepairReport = await Database.repair(directory, {
    takeBehindGaps,
    ...(lockTimeoutMs === undefined ? {} : { lockTimeoutMs }),
    ...(hideOlder === undefined ? {} : { hideOlder }),
  });
  console.log(json ? toJson(report) : formatRepair(report));
  return report.lost.length === 0 ? SOUND : DAMAGED;
}

function probeMachine({ directory, json }: ProbeCommand): number {
  const report = probe(directory);
  console.log(json ? toJson(report) : formatProbe(report));
  return SOUND;
}

function ownVersion(): string {
  return (JSON.parse(readFileSync(PACKAGE, 'utf8')) as { version: string }).version;
}

async function main(args: string[]): Promise<number> {
  let command: ReturnType<typeof commandOf>;
  try {
    command = commandOf(args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`quadring: ${error.message}\n\n${USAGE}`);
    return UNKNOWN;
  }
  if (command === 'usage' || command === 'version') {
    console.log(command === 'usage' ? USAGE : ownVersion());
    return SOUND;
  }
  try {
    switch (command.name) {
      case 'verify':
        return await verify(command);
      case 'repair':
        return await repair(command);
      case 'probe':
        return probeMachine(command);
    }
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
