/**
 * The parts of io_uring that are of use to a storage engine: from which kernel on each is there, and what this engine does
 * with it. Pure. What a kernel really has is found out by trying (see `Native.probeKernel`).
 */

export interface UringFeature {
  readonly name: string;
  readonly group: 'setUps' | 'registrations' | 'operations' | 'features';
  /** Version of Linux that has it first. */
  readonly since: string;
  /** What it is used for; or why it is not used, with `not used` before it. */
  readonly use: string;
}

export const URING_FEATURES: readonly UringFeature[] = [
  { name: 'SINGLE_ISSUER', group: 'setUps', since: '6.0', use: 'each ring belongs to one thread' },
  {
    name: 'DEFER_TASKRUN',
    group: 'setUps',
    since: '6.1',
    use: 'completions are taken when the thread asks for them',
  },
  {
    name: 'COOP_TASKRUN',
    group: 'setUps',
    since: '5.19',
    use: 'without SINGLE_ISSUER: on 5.19, or with `io.singleIssuer: false`',
  },
  {
    name: 'SUBMIT_ALL',
    group: 'setUps',
    since: '5.18',
    use: 'an operation that is refused does not hold up the batch',
  },
  {
    name: 'CQSIZE',
    group: 'setUps',
    since: '5.5',
    use: 'room for the completions of all that may be in flight',
  },
  { name: 'NO_SQARRAY', group: 'setUps', since: '6.6', use: 'one look-up less for each submission' },
  {
    name: 'SQPOLL',
    group: 'setUps',
    since: '5.11',
    use: 'where `io.sqpoll` asks for it: no system call for a submission',
  },
  { name: 'SQ_AFF', group: 'setUps', since: '5.11', use: 'with `io.sqpoll.cpu`: the core that it polls on' },
  { name: 'ATTACH_WQ', group: 'setUps', since: '5.11', use: 'one thread polls for all four rings' },
  {
    name: 'IOPOLL',
    group: 'setUps',
    since: '5.1',
    use: 'where `io.iopoll` asks for it and the disk can: reads, and before Linux 6.6 the log’s writes',
  },
  { name: 'IOPOLL with DEFER_TASKRUN', group: 'setUps', since: '6.1', use: 'the same' },
  { name: 'IOPOLL with SQPOLL', group: 'setUps', since: '5.11', use: 'with `io.sqpoll` as well' },
  {
    name: 'sparse files',
    group: 'registrations',
    since: '5.19',
    use: 'with FTRUNCATE: files without descriptors, and no look-up of one at each operation',
  },
  {
    name: 'sparse buffers',
    group: 'registrations',
    since: '5.19',
    use: 'block cache and write buffers, in slices of 1 MiB',
  },
  {
    name: 'provided-buffer ring',
    group: 'registrations',
    since: '5.19',
    use: 'the reads ahead of scans',
  },
  {
    name: 'ring descriptor',
    group: 'registrations',
    since: '5.18',
    use: 'no look-up of the ring at each system call',
  },
  {
    name: 'worker affinity',
    group: 'registrations',
    since: '5.14',
    use: 'with `io.workers.cpus`: where the kernel’s own threads run',
  },
  {
    name: 'worker limits',
    group: 'registrations',
    since: '5.15',
    use: 'with `io.workers.max`: how many there are',
  },
  { name: 'READ_FIXED', group: 'operations', since: '5.1', use: 'reads straight into the block cache' },
  { name: 'WRITE_FIXED', group: 'operations', since: '5.1', use: 'log frames and tables' },
  { name: 'FALLOCATE', group: 'operations', since: '5.6', use: 'space of logs, tables and the manifest' },
  {
    name: 'FADVISE',
    group: 'operations',
    since: '5.6',
    use: 'not used: scans through the page cache are slower with any advice',
  },
  { name: 'RENAMEAT', group: 'operations', since: '5.11', use: 'a table gets its name' },
  { name: 'UNLINKAT', group: 'operations', since: '5.11', use: 'files that nobody needs any more' },
  {
    name: 'FTRUNCATE',
    group: 'operations',
    since: '6.9',
    use: 'a file that is used again is cut; by a system call where it is missing',
  },
  {
    name: 'MSG_RING',
    group: 'operations',
    since: '5.18',
    use: 'not used: a read of an eventfd ends a wait as soon, and needs no ring on the other side',
  },
  {
    name: 'FUTEX_WAIT',
    group: 'operations',
    since: '6.7',
    use: 'not used: a read of an eventfd ends a wait as soon',
  },
  { name: 'EXT_ARG', group: 'features', since: '5.11', use: 'waits that end in time; required' },
  { name: 'NODROP', group: 'features', since: '5.5', use: 'no completion is lost; required' },
  {
    name: 'RSRC_TAGS',
    group: 'features',
    since: '5.13',
    use: 'not used: a tag completes before the memory that it stands for may be locked anew',
  },
  {
    name: 'CQE_SKIP',
    group: 'features',
    since: '5.17',
    use: 'not used: it keeps errors of syncs and renames quiet, and after an error the rest of a chain',
  },
];
