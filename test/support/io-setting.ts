/**
 * The `io` options that the environment asks of every database that a test opens: `QUADRING_TEST_IO='{"iopoll":true}'`. What
 * a test sets itself stays; where nobody asks, a test gets what it sets and nothing else. Of use where there is a disk that
 * can be polled, which `npm run vm -- io-uring` provides; see docs/virtual-machine.md. Any thread and process of a test.
 */
import type { IoOptions } from '../../src/index.ts';

type Backend = NonNullable<IoOptions['backend']>;

/** Throws where the variable is no JSON object: a test that ran with less than was asked for would prove nothing. */
export function parseIoSetting(text: string | undefined): IoOptions {
  if (text === undefined || text === '') return {};
  const asked = JSON.parse(text) as unknown;
  if (typeof asked !== 'object' || asked === null || Array.isArray(asked)) {
    throw new Error(`QUADRING_TEST_IO must be a JSON object, not ${text}`);
  }
  return asked;
}

/** What the environment asks for. */
export const IO_SETTING: IoOptions = parseIoSetting(process.env['QUADRING_TEST_IO']);

/** The `io` option of a test's database. Plain system calls have nothing that could be polled for. */
export function ioOf(backend: Backend, io: IoOptions = {}, asked: IoOptions = IO_SETTING): IoOptions {
  return { ...(backend === 'syscall' ? {} : asked), ...io, backend };
}
