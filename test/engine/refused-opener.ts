/** Opens a database with a backend, uses it, and prints what came of it as JSON: `refused-opener <backend> <directory>`. */
import { Database, QuadringError } from '../../src/index.ts';

export interface RefusedReport {
  readonly opened: boolean;
  readonly code: string;
  readonly message: string;
  readonly causeCode: string;
  readonly backend: string;
  readonly reason: string;
  readonly read: string;
}

const [, , backend, directory] = process.argv;
const report = { opened: false, code: '', message: '', causeCode: '', backend: '', reason: '', read: '' };
try {
  const database = await Database.open(directory, { io: { backend: backend as 'auto' } });
  const { backend: obtained, backendReason } = database.stats();
  await database.put('a', 'was written');
  await database.flush();
  const read = database.getString('a') ?? '';
  await database.close();
  Object.assign(report, { opened: true, backend: obtained, reason: backendReason ?? '', read });
} catch (error) {
  if (!(error instanceof QuadringError)) throw error;
  const causeCode = (error.cause as { code?: string } | undefined)?.code ?? '';
  Object.assign(report, { code: error.code, message: error.message, causeCode });
}
process.stdout.write(JSON.stringify(report satisfies RefusedReport));
