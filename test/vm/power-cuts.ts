/**
 * Power cuts, as the program that runs in the virtual machine: records processes that write, cuts the power at many moments
 * of each recording, and holds what the next open finds against what had been acknowledged. See docs/virtual-machine.md.
 *
 *     recording ──► cut, open, compare ──► … ──► the last cut's disk is where the next recording begins
 *
 * So later recordings begin with a recovery, and the power goes in the middle of those as well. Exits with BROKEN when what
 * a cut left is not what it must be; the copy of the disk is then as the cut left it. With 1 when something else is wrong.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { must } from '../../src/assert.ts';
import { Database, QuadringError } from '../../src/index.ts';
import { checkContents } from '../support/kill-contents.ts';
import { checkFiles, checkFilesOfOpen } from '../support/kill-files.ts';
import { OracleFailure, type Oracle, type Settlement } from '../support/kill-oracle.ts';
import { optionsOf, WORKLOAD_KINDS } from '../support/kill-workload.ts';
import { mix, Random } from '../support/random.ts';
import { makeFileSystem, whileMounted } from './devices.ts';
import { chooseCut, momentsOf, type PowerCut } from './disk-states.ts';
import { acknowledgedOf, oracleAfter, type EndedChapter } from './history.ts';
import { expectPolledLog } from './polled-log.ts';
import { BROKEN, TOTALS_FILE, type PowerCutTask, type PowerCutTotals } from './power-cut-task.ts';
import { record, vouchedFor, type Recording, type RecordingTask } from './recording.ts';
import { copyWritten, copyDisk, Replay } from './replay.ts';

const PLACES = {
  data: '/dev/disk/data',
  log: '/dev/disk/log',
  copy: '/dev/disk/copy',
  snapshots: '/dev/disk/snapshots',
  mount: '/mnt/recorded',
  cutMount: '/mnt/cut',
};
const RESULTS = '/exchange/results';
const CUTS_PER_RECORDING = 16;
/** How long a process lives on after its first acknowledgement, or after it has begun to open. */
const WRITE_MS = { least: 6000, most: 20_000 };
const RECOVERY_MS = { least: 2000, most: 15_000 };
const MOUNT_OPTIONS = ['rw', 'discard'];
/** Of the opens that verify: always the same, so that they hand their threads on. */
const SHAPE = { writeBufferBytes: 65_536, blockBytes: 16_384, blockCacheBytes: 4 * 1024 * 1024 };
const DATABASE_NAME = 'database';

/** What a cut left is not what it must be. */
class BrokenDatabase extends Error {
  override readonly name = 'BrokenDatabase';
}

class PowerCuts {
  readonly totals: PowerCutTotals = {
    recordings: 0,
    cuts: 0,
    cutsByRemainder: {},
    cutsInFlight: 0,
    cutsDuringRecovery: 0,
    opens: 0,
    acknowledged: 0,
    keptUnacknowledged: 0,
    dropped: 0,
    tornFrames: 0,
    logEntries: 0,
    notReplayed: 0,
    markers: 0,
  };
  readonly #task: PowerCutTask;
  readonly #random: Random;
  /** Of the database that is there. */
  #before: EndedChapter[] = [];

  constructor(task: PowerCutTask) {
    this.#task = task;
    this.#random = new Random(mix(task.seed ^ (task.fileSystem === 'ext4' ? 4 : 5)));
  }

  async run(): Promise<void> {
    makeFileSystem(this.#task.fileSystem, PLACES.data);
    if (this.#task.iopoll) {
      await expectPolledLog(PLACES, this.#task.fileSystem, { backend: this.#task.backend, iopoll: true });
      makeFileSystem(this.#task.fileSystem, PLACES.data);
    }
    copyDisk(PLACES.data, PLACES.copy);
    while (this.totals.cuts < this.#task.cuts) {
      const task = this.#nextRecording();
      if (task.isFresh) this.#before = [];
      const recording = await record(PLACES, task);
      this.totals.recordings++;
      this.totals.logEntries += recording.entries.length;
      this.totals.notReplayed += recording.all.length - recording.entries.length;
      this.totals.markers += recording.markers.size;
      say(describeRecording(task, recording));
      await this.#cut(recording, Math.min(CUTS_PER_RECORDING, this.#task.cuts - this.totals.cuts));
    }
  }

  #nextRecording(): RecordingTask {
    const random = this.#random;
    const number = this.totals.recordings + 1;
    const isFresh = this.#before.length === 0 || random.oneIn(3);
    const kind = !isFresh && random.oneIn(4) ? 'recover' : 'write';
    const seed = random.bits();
    const workload = must(WORKLOAD_KINDS[number % WORKLOAD_KINDS.length], 'there is a workload');
    const options = optionsOf(seed, workload, this.#task.backend);
    const { least, most } = kind === 'write' ? WRITE_MS : RECOVERY_MS;
    return {
      fileSystem: this.#task.fileSystem,
      mountOptions: must(MOUNT_OPTIONS[random.below(MOUNT_OPTIONS.length)], 'there are options'),
      number,
      databaseName: DATABASE_NAME,
      isFresh,
      child: {
        kind,
        workload,
        seed,
        options: { ...options, io: { ...options.io, iopoll: this.#task.iopoll } },
      },
      killAfterMs: random.between(least, most),
    };
  }

  async #cut(recording: Recording, count: number): Promise<void> {
    const { entries, markers, chapter } = recording;
    const [first] = must([...markers.keys()], 'there is a marker');
    const moments = momentsOf(entries, must(first, 'there is a marker') + 1, new Set(markers.keys()));
    const cuts = Array.from({ length: count }, () => chooseCut(moments, this.#random)).sort(
      (a, b) => a.position - b.position,
    );
    const replay = new Replay(PLACES, entries);
    for (const [i, cut] of cuts.entries()) {
      replay.advance(cut);
      const seed = this.#random.bits();
      const known = vouchedFor(recording, cut.position);
      let lastSequence: number;
      try {
        const oracle = oracleAfter(this.#before, chapter, known);
        lastSequence = await replay.whileCut(cut, seed, (device) => this.#verify(device, oracle));
      } catch (error) {
        replay.keep(cut, seed);
        if (!(error instanceof OracleFailure || error instanceof QuadringError)) throw error;
        throw new BrokenDatabase(`${describeCut(recording, cut, known)}: ${error.message}`, { cause: error });
      }
      this.#count(recording, cut, known);
      if (i === cuts.length - 1) {
        replay.keep(cut, seed);
        copyWritten(recording.all, PLACES.copy, PLACES.data);
        this.#before.push({ ...chapter, known, lastSequence });
      }
    }
    const { cuts: done, acknowledged } = this.totals;
    say(
      `${done}/${this.#task.cuts} power cuts on ${this.#task.fileSystem}, ${acknowledged} acknowledged writes there`,
    );
  }

  /** Opens what the cut left, once or twice, holds all of it against the oracle, and writes to it. */
  async #verify(device: string, oracle: Oracle): Promise<number> {
    const directory = join(PLACES.cutMount, DATABASE_NAME);
    return await whileMounted(this.#task.fileSystem, device, PLACES.cutMount, async () => {
      let lastSequence = 0;
      const opens = this.#random.oneIn(4) ? 2 : 1;
      for (let i = 0; i < opens; i++) {
        const options = optionsOf(this.#random.bits(), 'compaction', this.#task.backend);
        const database = await Database.open(directory, {
          ...options,
          ...SHAPE,
          compaction: { ...options.compaction, automatic: false },
        });
        try {
          const { recovery, ...stats } = database.stats();
          ({ lastSequence } = stats);
          this.#note(oracle.opened(lastSequence), recovery.tornFrames, i === 0);
          await checkFilesOfOpen(directory, database);
          await checkContents(database, oracle);
        } finally {
          await database.close();
        }
      }
      await writeOnce(directory, this.#task.backend);
      return lastSequence;
    });
  }

  #note({ keptUnacknowledged, dropped }: Settlement, tornFrames: number, isFirst: boolean): void {
    const { totals } = this;
    totals.opens++;
    if (!isFirst) return;
    totals.keptUnacknowledged += keptUnacknowledged;
    totals.dropped += dropped;
    totals.tornFrames += tornFrames;
  }

  #count({ chapter }: Recording, cut: PowerCut, known: number): void {
    const { totals } = this;
    totals.cuts++;
    totals.acknowledged += acknowledgedOf(chapter, known);
    totals.cutsByRemainder[cut.remainder] = (totals.cutsByRemainder[cut.remainder] ?? 0) + 1;
    if (cut.to === cut.from + 1) totals.cutsInFlight++;
    if (this.#before.length > 0 && acknowledgedOf(chapter, known) === 0) totals.cutsDuringRecovery++;
  }
}

/** A database that survived has to be of use as well. */
async function writeOnce(directory: string, backend: PowerCutTask['backend']): Promise<void> {
  const database = await Database.open(directory, { ...SHAPE, io: { backend } });
  let liveLogs: number;
  try {
    await database.put('after the cut', 'written');
    if (database.getString('after the cut') !== 'written') {
      throw new OracleFailure('a write after the cut is not there');
    }
    liveLogs = database.stats().log.live;
  } finally {
    await database.close();
  }
  checkFiles(directory, liveLogs);
}

function describeRecording(
  { child, isFresh, mountOptions, number }: RecordingTask,
  recording: Recording,
): string {
  const { chapter, entries, markers } = recording;
  const acknowledged = acknowledgedOf(chapter, chapter.records.length);
  const what = child.kind === 'write' ? `writes (${child.workload})` : 'recovers';
  const where = isFresh ? 'a new database' : 'what the last cut left';
  return `recording ${number}: ${what} in ${where}, mounted ${mountOptions}: ${acknowledged} operations acknowledged, ${entries.length} log entries, ${markers.size} markers`;
}

function describeCut({ chapter, entries }: Recording, cut: PowerCut, known: number): string {
  const { position, from, to, remainder } = cut;
  return `power cut at entry ${position} of ${entries.length} (entries ${from} to ${to}: ${remainder} there), ${acknowledgedOf(chapter, known)} acknowledged`;
}

function say(text: string): void {
  console.log(text);
}

const task = JSON.parse(process.argv[2] ?? '') as PowerCutTask;
const cuts = new PowerCuts(task);
mkdirSync(RESULTS, { recursive: true });
try {
  await cuts.run();
} catch (error) {
  const isBroken = error instanceof BrokenDatabase;
  say(isBroken ? error.message : inspect(error));
  writeFileSync(join(RESULTS, 'failure.txt'), inspect(error));
  process.exitCode = isBroken ? BROKEN : 1;
}
writeFileSync(join(RESULTS, TOTALS_FILE), JSON.stringify(cuts.totals));
