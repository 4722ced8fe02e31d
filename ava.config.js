// Child processes, not worker threads: a crash in the addon is then reported for the file that it happened in. Three at
// a time keep two cores busy, which the smallest machine that the tests are meant for has: many tests wait for a disk.
// A test's own limit puts off this one, for good if nothing is heard after it: it is to be no longer than this one is.
export default {
  files: ['dist/test/**/*.test.js'],
  workerThreads: false,
  concurrency: 3,
  timeout: '12m',
};
