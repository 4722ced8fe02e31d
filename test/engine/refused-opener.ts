/** Opens a database with a backend, uses it, and prints what came of it as JSON: `refused-opener <backend> <directory>`. */
import { Database, QuadringError } from '../../src/index.ts';
import { ioOf } from '../support/io-setting.ts';

/** A ring's backend, the bytes that are registered with it, and why no more. */
export interface RefusedRing {
  readonly backend: string;
  readonly bytes: number;
  readonly refusal: string | null;
}

export interface RefusedReport {
  readonly opened: boolean;
  readonly code: string;
  readonly message: string;
  readonly causeCode: string;
  readonly backend: string;
  readonly reason: string;
  readonly read: string;
  readonly rings: readonly RefusedRing[];
}

const [, , backend, directory] = process.argv;
const report: RefusedReport = {
  opened: false,
  code: '',
  message: '',
  causeCode: '',
  backend: '',
  reason: '',
  read: '',
  rings: [],
};
try {
  const database = await Database.open(directory, { io: ioOf(backend as 'auto') });
  const { backend: obtained, backendReason, rings: described } = database.stats();
  const rings = described.map((ring) => ({
    backend: ring.backend,
    bytes: ring.registeredBytes,
    refusal: ring.registrationRefusal,
  }));
  await database.put('b', 'was overwritten');
  await database.flush();
  await database.batch([
    { type: 'put', key: 'a', value: 'was written' },
    { type: 'put', key: 'b', value: 'again' },
  ]);
  await database.compactRange();
  const read = database.getString('a') ?? '';
  const entries = await database.iterator().nextv(10);
  if (entries.length !== 2) throw new Error(`${entries.length} entries are there`);
  await database.close();
  Object.assign(report, { opened: true, backend: obtained, reason: backendReason ?? '', read, rings });
} catch (error) {
  if (!(error instanceof QuadringError)) throw error;
  const causeCode = (error.cause as { code?: string } | undefined)?.code ?? '';
  Object.assign(report, { code: error.code, message: error.message, causeCode });
}
process.stdout.write(JSON.stringify(report));
