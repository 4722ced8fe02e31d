/**
 * A disk in memory one of whose operations goes wrong, counted from the first: or it and all that follow. It knows how
 * many files are open. As with O_DIRECT, only whole pages are read and written; how much of them comes is another matter.
 */
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { SimulatedDisk } from './simulated-disk.ts';

const EINVAL = 22;

export type DiskOperation = 'open' | 'close' | 'read' | 'write' | 'sync' | 'rename' | 'truncate' | 'unlink';

/** With an errno, or by moving less than was asked for: some of it, or nothing. */
export type DiskFault = { readonly errno: number } | 'part' | 'nothing';

export interface DiskFaultPlan {
  /** Which of the operations that are counted, from 1 on; 0: none. */
  at: number;
  /** Whether those behind it go wrong as well. */
  isLasting: boolean;
  fault: DiskFault;
  /** What is counted; undefined: everything. */
  operation: DiskOperation | undefined;
}

export class FailingDisk extends SimulatedDisk {
  readonly plan: DiskFaultPlan = { at: 0, isLasting: false, fault: 'nothing', operation: undefined };
  /** Operations that were counted. */
  counted = 0;
  /** Of them the first that went wrong. */
  failed: DiskOperation | undefined;
  readonly openHandles = new Set<number>();
  bytesRead = 0;

  /** Counts from here on. */
  arm(plan: Partial<DiskFaultPlan>): void {
    Object.assign(this.plan, { at: 0, isLasting: false, fault: 'nothing', operation: undefined }, plan);
    this.counted = 0;
    this.failed = undefined;
  }

  override open(name: string, flags: number): number {
    const fault = this.#fault('open');
    if (fault !== undefined && typeof fault !== 'string') return -fault.errno;
    const handle = super.open(name, flags);
    if (handle >= 0) this.openHandles.add(handle);
    return handle;
  }

  /** As Linux does: the handle is gone, whatever it says. */
  override close(handle: number): number {
    const fault = this.#fault('close');
    this.openHandles.delete(handle);
    const result = super.close(handle);
    return fault === undefined || typeof fault === 'string' ? result : -fault.errno;
  }

  override read(handle: number, target: Uint8Array, offset: number): number {
    if (!isAligned(target, offset)) return -EINVAL;
    const fault = this.#fault('read');
    if (fault === undefined) {
      this.bytesRead += target.length;
      return super.read(handle, target, offset);
    }
    if (typeof fault !== 'string') return -fault.errno;
    const length = fault === 'part' ? partOf(target.length, this.counted) : 0;
    this.bytesRead += length - (length % PAGE_BYTES);
    return super.read(handle, target.subarray(0, length), offset);
  }

  override write(handle: number, bytes: Uint8Array, offset: number, durable: boolean): number {
    if (!isAligned(bytes, offset)) return -EINVAL;
    const fault = this.#fault('write');
    if (fault === undefined) return super.write(handle, bytes, offset, durable);
    if (typeof fault !== 'string') return -fault.errno;
    const length = fault === 'part' ? partOf(bytes.length, this.counted) : 0;
    return super.write(handle, bytes.subarray(0, length), offset, durable);
  }

  override sync(handle: number): number {
    const fault = this.#fault('sync');
    return fault === undefined || typeof fault === 'string' ? super.sync(handle) : -fault.errno;
  }

  override rename(from: string, to: string): number {
    const fault = this.#fault('rename');
    return fault === undefined || typeof fault === 'string' ? super.rename(from, to) : -fault.errno;
  }

  override truncate(handle: number, size: number): number {
    const fault = this.#fault('truncate');
    return fault === undefined || typeof fault === 'string' ? super.truncate(handle, size) : -fault.errno;
  }

  override unlink(name: string): number {
    const fault = this.#fault('unlink');
    return fault === undefined || typeof fault === 'string' ? super.unlink(name) : -fault.errno;
  }

  #fault(operation: DiskOperation): DiskFault | undefined {
    const { at, isLasting, fault } = this.plan;
    if (this.plan.operation !== undefined && this.plan.operation !== operation) return undefined;
    this.counted++;
    if (at === 0 || (isLasting ? this.counted < at : this.counted !== at)) return undefined;
    this.failed ??= operation;
    return fault;
  }
}

function isAligned(bytes: Uint8Array, offset: number): boolean {
  return offset % PAGE_BYTES === 0 && bytes.length % PAGE_BYTES === 0;
}

/** Some of so many bytes, not always whole pages, and not always the same part. */
function partOf(bytes: number, salt: number): number {
  return Math.floor((bytes * ((salt % 7) + 1)) / 8);
}
