/**
 * Runs the scripts of `scripts/`, which say which compaction is picked, and why. `QUADRING_REWRITE=1` writes what came out
 * into them as what is expected: look at the difference before you keep it.
 *
 *     policy l0=4 base=400 multiplier=10 table=100 [grandparents=1000] [bytes=2500] [choice=round-robin]
 *     define                            tables by level (see script-language.ts)
 *     targets                           base level, and each level's target and score
 *     pending                           bytes to be rewritten until no level is too large
 *     pick [idle] [oldest=N]            oldest: the smallest number that is read at
 *     range lower upper [sequence=N] [before=N]          . is no bound
 *     apply                             the last pick; the body has the outputs, unless it was a move
 */
import test from 'ava';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must } from '../../src/assert.ts';
import { LEVEL_COUNT } from '../../src/format/limits.ts';
import { describeKey, type TableDescription } from '../../src/format/version-edit.ts';
import { type Compaction, describeCompaction } from '../../src/main/compaction.ts';
import { pickCompaction } from '../../src/main/compaction-picker.ts';
import type { CompactionPolicy } from '../../src/main/compaction-policy.ts';
import { endsBefore } from '../../src/main/key-span.ts';
import { levelScores, levelTargets, pendingCompactionBytes } from '../../src/main/level-targets.ts';
import { compareKeys } from '../../src/main/range.ts';
import { pickRange } from '../../src/main/range-picker.ts';
import {
  describeLevels,
  formatScript,
  numbersIn,
  parseLevels,
  parseScript,
  parseTables,
  type ScriptCase,
} from './script-language.ts';

/** This file is compiled to dist/test/compaction/; the scripts stay where they are. */
const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const SCRIPTS = join(ROOT, 'test', 'compaction', 'scripts');

class ScriptWorld {
  #policy: CompactionPolicy | undefined;
  #levels: TableDescription[][] = [];
  #pointers: (Uint8Array | undefined)[] = [];
  #picked: Compaction | undefined;

  /** What goes wrong is output, too, so that a script that is being written shows how far it got. */
  run(scriptCase: ScriptCase): string {
    try {
      return this.#run(scriptCase);
    } catch (error) {
      return `error: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  #run({ command, words, body }: ScriptCase): string {
    switch (command) {
      case 'policy':
        this.#policy = policyOf(words);
        return '';
      case 'define':
        this.#levels = parseLevels(body, LEVEL_COUNT);
        this.#pointers = new Array<undefined>(LEVEL_COUNT).fill(undefined);
        this.#check();
        return '';
      case 'targets':
        return this.#targets();
      case 'pending':
        return String(Math.round(pendingCompactionBytes({ levels: this.#levels }, this.#given)));
      case 'pick':
        return this.#pick(words.includes('idle'), numbersIn(words).get('oldest') ?? Infinity);
      case 'range':
        return this.#range(words);
      case 'apply':
        return this.#apply(body);
      default:
        throw new Error(`there is no command ${command}`);
    }
  }

  get #given(): CompactionPolicy {
    return must(this.#policy, 'a script begins with a policy');
  }

  /** A script may be wrong, too. */
  #check(): void {
    for (const tables of this.#levels.slice(1)) {
      for (let i = 1; i < tables.length; i++) {
        if (!endsBefore(tables[i - 1], tables[i].smallestKey)) {
          throw new Error(`tables ${tables[i - 1].number} and ${tables[i].number} of a level overlap`);
        }
      }
    }
  }

  #targets(): string {
    const view = { levels: this.#levels };
    const { baseLevel, targets } = levelTargets(view, this.#given);
    const lines = levelScores(view, this.#given)
      .filter(({ level, score }) => score > 0 || level >= baseLevel)
      .map(({ level, score }) => `L${level} target ${Math.round(targets[level])} score ${score.toFixed(2)}`);
    return [`base L${baseLevel}`, ...lines].join('\n');
  }

  #pick(isIdle: boolean, oldestSnapshot: number): string {
    const state = { pointers: this.#pointers, oldestSnapshot, isIdle };
    return this.#show(pickCompaction({ levels: this.#levels }, this.#given, state));
  }

  #range([lower, upper, ...more]: readonly string[]): string {
    const numbers = numbersIn(more);
    const request = {
      lower: lower === '.' ? undefined : Buffer.from(lower),
      upper: upper === '.' ? undefined : Buffer.from(upper),
      sequence: numbers.get('sequence') ?? Infinity,
      createdBefore: numbers.get('before') ?? Infinity,
    };
    return this.#show(pickRange({ levels: this.#levels }, this.#given, request));
  }

  #show(picked: Compaction | undefined): string {
    this.#picked = picked;
    if (picked === undefined) return 'nothing';
    const { grandparents, older, pointer } = picked;
    const lines = [describeCompaction(picked)];
    if (grandparents.length > 0) lines.push(`  grandparents ${numbersOf(grandparents)}`);
    if (older.length > grandparents.length) lines.push(`  older ${numbersOf(older)}`);
    if (pointer !== undefined) lines.push(`  pointer ${describeKey(pointer)}`);
    return lines.join('\n');
  }

  #apply(body: readonly string[]): string {
    const { inputs, outputInputs, inputLevel, outputLevel, isTrivialMove, pointer } = must(
      this.#picked,
      'something was picked',
    );
    const gone = new Set([...inputs, ...outputInputs]);
    const outputs = body.flatMap((line) => parseTables(line, outputLevel));
    if (isTrivialMove) outputs.push(...inputs.map((table) => ({ ...table, level: outputLevel })));
    this.#levels = this.#levels.map((tables) => tables.filter((table) => !gone.has(table)));
    this.#levels[outputLevel].push(...outputs);
    this.#levels[outputLevel].sort((a, b) => compareKeys(a.smallestKey, b.smallestKey));
    this.#pointers[inputLevel] = pointer;
    this.#picked = undefined;
    this.#check();
    return describeLevels(this.#levels);
  }
}

function policyOf(words: readonly string[]): CompactionPolicy {
  const numbers = numbersIn(words.filter((word) => !word.startsWith('choice=')));
  const tableBytes = must(numbers.get('table'), 'a policy has a table size');
  return {
    l0Trigger: must(numbers.get('l0'), 'a policy has a trigger'),
    baseBytes: must(numbers.get('base'), 'a policy has a base size'),
    multiplier: must(numbers.get('multiplier'), 'a policy has a multiplier'),
    tableBytes,
    grandparentBytesMax: numbers.get('grandparents') ?? 10 * tableBytes,
    compactionBytesMax: numbers.get('bytes') ?? 25 * tableBytes,
    tableChoice: words.includes('choice=round-robin') ? 'round-robin' : 'least-overlap',
  };
}

function numbersOf(tables: readonly TableDescription[]): string {
  return tables.map(({ number }) => number).join(' ');
}

for (const name of readdirSync(SCRIPTS).toSorted()) {
  test(`script ${name}`, (t) => {
    const path = join(SCRIPTS, name);
    const text = readFileSync(path, 'utf8');
    const script = parseScript(text);
    const world = new ScriptWorld();
    const actual = script.cases.map((scriptCase) => world.run(scriptCase));
    if (process.env['QUADRING_REWRITE'] === '1') {
      writeFileSync(path, formatScript(script, actual));
      t.pass();
      return;
    }
    script.cases.forEach(({ line, command, expected }, i) => {
      t.is(actual[i], expected, `${name}, line ${line}: ${command}`);
    });
  });
}
