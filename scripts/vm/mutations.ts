/**
 * Ways to break the project on purpose, so that it can be seen that a test in the machine notices. Each is an edit of what
 * is compiled, in the copy that the machine gets.
 */
export interface Mutation {
  readonly name: string;
  /** What an engine with it no longer does. */
  readonly description: string;
  readonly edits: readonly { readonly file: string; readonly from: string; readonly to: string }[];
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'log-not-durable',
    description: 'frames of the log are written without RWF_DSYNC',
    edits: [
      {
        file: 'src/workers/wal-role.js',
        from: 'const flags = FLAG_DSYNC | memory.pollFlag(length);',
        to: 'const flags = memory.pollFlag(length);',
      },
      {
        file: 'src/main/caller-frames.js',
        from: 'frame.offset, FLAG_DSYNC,',
        to: 'frame.offset, 0,',
      },
    ],
  },
  {
    name: 'manifest-not-durable',
    description: 'edits are appended to the manifest without RWF_DSYNC',
    edits: [
      {
        file: 'src/workers/flush-role.js',
        from: 'io.write(handle, REGION_POOL, at, length, offset, FLAG_DSYNC)',
        to: 'io.write(handle, REGION_POOL, at, length, offset, 0)',
      },
    ],
  },
  {
    name: 'files-not-synced',
    description: 'tables, new logs and CURRENT get their names without an fsync of what is in them',
    edits: [{ file: 'src/workers/file-steps.js', from: 'if (failure === 0) {', to: 'if (failure > 0) {' }],
  },
];
