/** A disk in memory whose reads go wrong as a test says: those ahead in each way they can, any of them with EIO. */
import { SimulatedDisk } from './simulated-disk.ts';
import type { SelectFault, SelectFaults } from './simulated-ring.ts';
import type { Random } from './random.ts';

const EIO = 5;

export class FaultyDisk extends SimulatedDisk implements SelectFaults {
  readonly #random: Random;
  /** One read ahead in as many goes wrong; 0: none. */
  faultOneIn = 0;
  /** How they go wrong. */
  faults: readonly SelectFault[] = ['named', 'short', 'short'];
  /** Reads ahead that may still fail in such a way that their buffer stays with the ring. */
  keptMax = Infinity;
  /** Every read of so many bytes or more fails. */
  failsReadsFrom = Infinity;
  /** One read in as many fails; 0: none. */
  refuseOneIn = 0;
  /** What went wrong so far. */
  readonly counts: Record<SelectFault, number> = { none: 0, named: 0, kept: 0, short: 0 };
  refusedReads = 0;

  constructor(random: Random) {
    super();
    this.#random = random;
  }

  nextSelectFault(): SelectFault {
    const fault = this.#pick();
    this.counts[fault]++;
    return fault;
  }

  override read(handle: number, target: Uint8Array, offset: number): number {
    const isRefused = this.refuseOneIn > 0 && this.#random.oneIn(this.refuseOneIn);
    if (target.length < this.failsReadsFrom && !isRefused) return super.read(handle, target, offset);
    this.refusedReads++;
    return -EIO;
  }

  #pick(): SelectFault {
    if (this.faultOneIn === 0 || !this.#random.oneIn(this.faultOneIn)) return 'none';
    const fault = this.faults[this.#random.below(this.faults.length)] ?? 'none';
    return fault === 'kept' && this.counts.kept >= this.keptMax ? 'named' : fault;
  }
}
