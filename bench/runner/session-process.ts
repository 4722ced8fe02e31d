/**
 * A process of the comparison, for the engines that have a binding to Node: does the session that comes on stdin and prints
 * what it measured. Benchmarks only.
 *
 *     node --expose-gc --no-flush-bytecode dist/bench/runner/session-process.js < session
 *
 * A process of its own for each session: no engine runs on code that was compiled for another, and what is resident is its
 * own.
 */
import { readFileSync } from 'node:fs';
import { nodePeer } from '../peers/arms.ts';
import { installedPeerVersion, loadPeer } from '../peers/packages.ts';
import type { OpenPeer, Peer } from '../peers/peer.ts';
import { collectGarbage } from '../support/cold.ts';
import { isValueOf, NumberedEntries, ScanCheck } from '../support/numbered-entries.ts';
import { ownVersion } from '../support/versions.ts';
import { UNMEASURED } from '../workload/group.ts';
import {
  parseSession,
  type Described,
  type Measured,
  type ReopenStep,
  type RunStep,
  type ScanStep,
  type Session,
  type Step,
} from '../workload/session.ts';
import { Trace } from '../workload/trace.ts';
import { Operations } from './operations.ts';
import { StepRunner } from './run-step.ts';
import { Stopwatch } from './stopwatch.ts';

const OWN_PACKAGE = 'quadring';

class SessionProcess {
  readonly #session: Session;
  readonly #peer: Peer;
  readonly #entries: NumberedEntries;
  /** Of one trace only: a heap full of keys would make every collection of garbage longer. */
  #prepared: { readonly trace: string; readonly operations: Operations } | undefined;
  #open: OpenPeer | undefined;

  constructor(session: Session) {
    this.#session = session;
    this.#peer = nodePeer(session.arm);
    this.#entries = new NumberedEntries(session.capacity, session.valueBytes);
  }

  async run(): Promise<void> {
    // Loading code is not opening; quadring's was loaded with this module.
    if (this.#peer.packageName !== OWN_PACKAGE) await loadPeer(this.#peer.packageName);
    const start = performance.now();
    const peer = await this.#openPeer();
    await peer.get(this.#entries.key(0));
    const openSeconds = (performance.now() - start) / 1000;
    const described: Described = {
      engine: this.#peer.packageName,
      version: versionOf(this.#peer),
      openSeconds,
      details: peer.describe(),
    };
    print(described);
    for (const step of this.#session.steps) {
      const measured = await this.#do(step);
      if (measured !== null && measured.row !== UNMEASURED) print(measured);
    }
    await this.#opened.close();
  }

  get #opened(): OpenPeer {
    if (this.#open === undefined) throw new Error('the engine is not open');
    return this.#open;
  }

  async #openPeer(): Promise<OpenPeer> {
    this.#open = await this.#peer.open(this.#session.directory, this.#session);
    return this.#open;
  }

  #do(step: Step): Promise<Measured | null> {
    switch (step.step) {
      case 'run':
        return this.#run(step);
      case 'scan':
        return this.#scan(step);
      case 'reopen':
        return this.#reopen(step);
      case 'compact':
        return this.#timed(step.row, () => this.#opened.compact());
      case 'settle':
        return this.#opened.settle().then(() => null);
      case 'memory':
        return this.#memory(step.row);
    }
  }

  #run(step: RunStep): Promise<Measured | null> {
    if (this.#prepared?.trace !== step.trace) {
      this.#prepared = undefined;
      const operations = new Operations(Trace.read(step.trace), this.#entries);
      this.#prepared = { trace: step.trace, operations };
    }
    return new StepRunner(this.#opened, this.#prepared.operations, step, this.#session.valueBytes).run();
  }

  async #scan({ row, form, repeats, warmUp }: ScanStep): Promise<Measured> {
    for (let i = 0; i < warmUp; i++) await this.#scanOnce(form);
    collectGarbage();
    const stopwatch = new Stopwatch();
    for (let i = 0; i < repeats; i++) await this.#scanOnce(form);
    return stopwatch.measured(row, repeats * this.#session.entries, repeats, null);
  }

  async #scanOnce(form: ScanStep['form']): Promise<void> {
    const { entries, valueBytes } = this.#session;
    const check = new ScanCheck(0, entries, 1, valueBytes);
    const peer = this.#opened;
    if (form === 'borrowed' && peer.scanBorrowed !== undefined) peer.scanBorrowed(check);
    else await peer.scan(check);
    check.finish();
  }

  async #reopen({ row, repeats }: ReopenStep): Promise<Measured> {
    const milliseconds = new Float64Array(repeats);
    const stopwatch = new Stopwatch();
    for (let i = 0; i < repeats; i++) {
      stopwatch.stop();
      await this.#opened.close();
      stopwatch.start();
      const before = performance.now();
      const peer = await this.#openPeer();
      const value = await peer.get(this.#entries.key(i));
      if (!isValueOf(value, i, this.#session.valueBytes)) throw new Error(`entry ${i} was not read again`);
      milliseconds[i] = performance.now() - before;
    }
    return stopwatch.measured(row, repeats, repeats, milliseconds);
  }

  async #timed(row: string, work: () => Promise<void>): Promise<Measured> {
    const stopwatch = new Stopwatch();
    await work();
    return stopwatch.measured(row, this.#session.entries, 1, null);
  }

  #memory(row: string): Promise<Measured> {
    this.#prepared = undefined;
    collectGarbage();
    return Promise.resolve(new Stopwatch().measured(row, 0, 0, null));
  }
}

function versionOf({ packageName }: Peer): string {
  return packageName === OWN_PACKAGE ? ownVersion() : installedPeerVersion(packageName);
}

function print(line: Described | Measured): void {
  console.log(JSON.stringify(line));
}

try {
  await new SessionProcess(parseSession(readFileSync(0, 'utf8'))).run();
} catch (error) {
  // With what is wrong in the first line, and not the line of code before it, as Node would have it.
  console.error(error instanceof Error ? error.stack : error);
  process.exit(1);
}
