/**
 * A simulated disk that fails now and then, as a seed decides. With the fault model of `SimulatedDisk` and, as long as it is
 * not healed:
 *
 *     open, close, rename, unlink, ftruncate    fail with EIO and change nothing (a handle is gone, though, once it is closed)
 *     read                                      fails with EIO, or comes short, by whole pages
 *     write                                     fails with EIO, having written nothing or a part; or comes short
 *     fsync                                     fails with EIO: what it was to make durable never will be
 *     space                                     ends at `capacityBytes`
 *
 * Reads ahead come back late, short, or with an error, with or without their buffer (see simulated-ring.ts).
 */
import { SimulatedDisk } from '../support/simulated-disk.ts';
import type { SelectFault, SelectFaults } from '../support/simulated-ring.ts';
import type { Random } from '../support/random.ts';
import { PAGE, type SimulatedFile } from '../support/simulated-file.ts';

const EIO = 5;

/** One operation in as many fails; 0: none. */
export interface FaultRates {
  readonly readOneIn: number;
  readonly writeOneIn: number;
  readonly syncOneIn: number;
  /** Of syncs of the directory, beside the others; more of them where they were to settle names of several kinds. */
  readonly directoryOneIn: number;
  readonly nameOneIn: number;
}

export const NO_FAULTS: FaultRates = {
  readOneIn: 0,
  writeOneIn: 0,
  syncOneIn: 0,
  directoryOneIn: 0,
  nameOneIn: 0,
};

/** One sync of the directory in as many fails where several threads wait for it, on disks where any do. */
const SHARED_DIRECTORY_ONE_IN = 2;

/** Reads ahead whose buffer stays with the ring: a bounded number, since there are not many. */
const KEPT_MAX = 2;

export class UnreliableDisk extends SimulatedDisk implements SelectFaults {
  rates: FaultRates = NO_FAULTS;
  /** What went wrong so far, writes included that found no space. */
  faults = 0;
  /** How many of these were for want of space. */
  shortages = 0;
  readonly #random: Random;
  #kept = 0;

  constructor(random: Random) {
    super();
    this.#random = random;
  }

  nextSelectFault(): SelectFault {
    if (!this.#fails(this.rates.readOneIn)) return 'none';
    const fault = (['named', 'short', 'kept'] as const)[this.#random.below(3)];
    if (fault !== 'kept') return fault;
    return ++this.#kept > KEPT_MAX ? 'named' : 'kept';
  }

  override open(name: string, flags: number): number {
    return this.#fails(this.rates.nameOneIn) ? -EIO : super.open(name, flags);
  }

  override close(handle: number): number {
    const result = super.close(handle);
    return this.#fails(this.rates.nameOneIn) ? -EIO : result;
  }

  override read(handle: number, target: Uint8Array, offset: number): number {
    if (!this.#fails(this.rates.readOneIn)) return super.read(handle, target, offset);
    const pages = Math.floor(target.length / PAGE);
    // Nothing at all is what the end of the file says.
    if (pages < 2 || this.#random.oneIn(2)) return -EIO;
    return super.read(handle, target.subarray(0, PAGE * this.#random.between(1, pages - 1)), offset);
  }

  override write(handle: number, bytes: Uint8Array, offset: number, durable: boolean): number {
    if (!this.#fails(this.rates.writeOneIn)) return super.write(handle, bytes, offset, durable);
    const part = bytes.subarray(0, this.#random.below(bytes.length));
    const isShort = this.#random.oneIn(2);
    // Of a write that failed nothing is known, least of all that any of it is durable.
    const result = super.write(handle, part, offset, isShort && durable);
    return isShort ? result : -EIO;
  }

  override sync(handle: number): number {
    if (this.#fails(this.rates.syncOneIn)) return this.failSync(handle, EIO);
    const { directoryOneIn } = this.rates;
    if (directoryOneIn === 0 || !this.isDirectory(handle)) return super.sync(handle);
    const oneIn = this.#isShared ? SHARED_DIRECTORY_ONE_IN : directoryOneIn;
    return this.#fails(oneIn) ? this.failSync(handle, EIO) : super.sync(handle);
  }

  /** Whether names of logs and of tables are to be settled: two threads wait for it, or will. */
  get #isShared(): boolean {
    const names = [...this.unsettledNames()];
    return names.some((name) => name.endsWith('.wal')) && names.some((name) => name.endsWith('.sst'));
  }

  override rename(from: string, to: string): number {
    return this.#fails(this.rates.nameOneIn) ? -EIO : super.rename(from, to);
  }

  override truncate(handle: number, size: number): number {
    return this.#fails(this.rates.nameOneIn) ? -EIO : super.truncate(handle, size);
  }

  override unlink(name: string): number {
    return this.#fails(this.rates.nameOneIn) ? -EIO : super.unlink(name);
  }

  protected override fits(file: SimulatedFile, end: number): boolean {
    const fits = super.fits(file, end);
    if (!fits) {
      this.faults++;
      this.shortages++;
    }
    return fits;
  }

  #fails(oneIn: number): boolean {
    if (oneIn === 0 || !this.#random.oneIn(oneIn)) return false;
    this.faults++;
    return true;
  }
}
