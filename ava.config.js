// Child processes, not worker threads: a crash in the addon is then reported for the file that it happened in. Two at a
// time suits the smallest machine that the tests are meant for, one of two cores.
export default {
  files: ['dist/test/**/*.test.js'],
  workerThreads: false,
  concurrency: 2,
  timeout: '2m',
};
