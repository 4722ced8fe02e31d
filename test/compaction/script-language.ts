/**
 * Tests that are data: a script defines tables and says which compactions are expected of them.
 *
 *     # a remark
 *     command argument …
 *     body
 *     ----
 *     expected output, up to an empty line or the end
 *
 * A table is written `number:smallest-largest` with attributes behind it, `)` after a largest key that is exclusive, which
 * may then be missing (no end). `101+ a-c d-f` are tables 101 and 102. Commas separate tables of a line.
 */
import type { TableDescription } from '../../src/format/version-edit.ts';

export interface ScriptCase {
  /** What stands before the command since the last case, to be written back. */
  readonly remarks: string;
  readonly line: number;
  readonly command: string;
  readonly words: readonly string[];
  readonly body: readonly string[];
  readonly expected: string;
}

export interface Script {
  readonly cases: readonly ScriptCase[];
  /** Remarks behind the last case. */
  readonly rest: string;
}

const SEPARATOR = '----';

export function parseScript(text: string): Script {
  const lines = text.split('\n');
  const cases: ScriptCase[] = [];
  let remarks = '';
  let at = 0;
  const isRemark = (line: string): boolean => line.trim() === '' || line.startsWith('#');
  while (at < lines.length) {
    if (isRemark(lines[at])) {
      remarks += `${lines[at++]}\n`;
      continue;
    }
    const line = at + 1;
    const [command, ...words] = lines[at++].trim().split(/\s+/);
    const body: string[] = [];
    while (at < lines.length && lines[at] !== SEPARATOR) body.push(lines[at++]);
    if (at === lines.length) throw new Error(`line ${line}: no ${SEPARATOR} behind ${command}`);
    at++;
    const expected: string[] = [];
    while (at < lines.length && lines[at].trim() !== '') expected.push(lines[at++]);
    cases.push({ remarks, line, command, words, body, expected: expected.join('\n') });
    remarks = '';
  }
  return { cases, rest: remarks };
}

/** The script with other expectations. */
export function formatScript({ cases, rest }: Script, actual: readonly string[]): string {
  const parts = cases.map(({ remarks, command, words, body }, i) => {
    const output = actual[i] === '' ? '' : `${actual[i]}\n`;
    return `${remarks}${[[command, ...words].join(' '), ...body, SEPARATOR].join('\n')}\n${output}`;
  });
  return `${parts.join('')}${rest}`.replace(/\n+$/, '\n');
}

/** `name=value` words as numbers. */
export function numbersIn(words: readonly string[]): ReadonlyMap<string, number> {
  const named = words.filter((word) => word.includes('=')).map((word) => word.split('='));
  return new Map(named.map(([name, value]) => [name, value === 'none' ? Infinity : Number(value)]));
}

/** Levels of a body: a line `L0`, and below it the tables. */
export function parseLevels(body: readonly string[], levelCount: number): TableDescription[][] {
  const levels: TableDescription[][] = Array.from({ length: levelCount }, () => []);
  let level = -1;
  for (const line of body) {
    const heading = /^L(\d+)$/.exec(line.trim());
    if (heading === null) levels[level].push(...parseTables(line, level));
    else level = Number(heading[1]);
  }
  return levels;
}

export function parseTables(line: string, level: number): TableDescription[] {
  return line.split(',').flatMap((part) => {
    const words = part.trim().split(/\s+/);
    const attributes = numbersIn(words);
    const plain = words.filter((word) => !word.includes('='));
    const [first, ...spans] = plain;
    if (first.endsWith('+')) {
      return spans.map((span, i) => tableOf(parseInt(first) + i, span, level, attributes));
    }
    const [number, span] = first.split(':');
    return [tableOf(Number(number), span, level, attributes)];
  });
}

function tableOf(
  number: number,
  span: string,
  level: number,
  attributes: ReadonlyMap<string, number>,
): TableDescription {
  const [smallest, largest] = span.split('-');
  const bytes = attributes.get('bytes') ?? 100;
  return {
    number,
    level,
    fileBytes: bytes,
    metaOffset: 0,
    entries: attributes.get('entries') ?? 100,
    deletions: attributes.get('deletions') ?? 0,
    overwritten: attributes.get('overwritten') ?? 0,
    rangeTombstones: attributes.get('tombstones') ?? 0,
    smallestKey: Buffer.from(smallest),
    largestKey: Buffer.from(largest.replace(')', '')),
    largestKeyIsExclusive: largest.endsWith(')'),
    smallestSequence: attributes.get('from') ?? number,
    largestSequence: attributes.get('to') ?? number,
    rawBytes: bytes,
    createdAtSeconds: 0,
    createdAtSequence: number,
  };
}

export function describeTable(table: TableDescription): string {
  const { number, fileBytes, smallestKey, largestKey, largestKeyIsExclusive } = table;
  const end = Buffer.from(largestKey).toString() + (largestKeyIsExclusive ? ')' : '');
  return `${number}:${Buffer.from(smallestKey).toString()}-${end} bytes=${fileBytes}`;
}

export function describeLevels(levels: readonly (readonly TableDescription[])[]): string {
  return levels
    .map((tables, level) => ({ tables, level }))
    .filter(({ tables }) => tables.length > 0)
    .map(({ tables, level }) => `L${level} ${tables.map(describeTable).join(', ')}`)
    .join('\n');
}
