/** What compaction costs, in the simulator: bounds that a change of the picker must not break unnoticed. */
import test from 'ava';
import { SimulatedDatabase } from '../../bench/support/simulated-database.ts';
import { keysOf, type WorkloadName } from '../../bench/support/simulated-workloads.ts';
import { compactionPolicyOf } from '../../src/main/compaction-policy.ts';

const WRITE_BUFFER_BYTES = 256 * 1024;
const OPERATIONS = 400_000;
const KEYS = 300_000;

interface Outcome {
  readonly database: SimulatedDatabase;
  readonly writeAmplification: number;
}

function simulate(workload: WorkloadName, deletedOfTen: number): Outcome {
  const database = new SimulatedDatabase({
    policy: compactionPolicyOf({ writeBufferBytes: WRITE_BUFFER_BYTES }),
    sizes: { putBytes: 128, deletionBytes: 28 },
    writeBufferBytes: WRITE_BUFFER_BYTES,
    alignedShare: 1,
    compactionRate: Infinity,
  });
  const { isPreloaded, nextKey } = keysOf(workload, KEYS);
  if (isPreloaded) database.preload(KEYS);
  for (let i = 0; i < OPERATIONS; i++) database.write(nextKey(), i % 10 < deletedOfTen);
  const compacted = database.costs.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
  return { database, writeAmplification: 1 + compacted / database.flushedBytes };
}

test('what is written in order is written once', (t) => {
  const { database, writeAmplification } = simulate('sequential', 0);
  t.is(writeAmplification, 1);
  database.settle();
  t.is(database.bytes, database.liveBytes);
});

test('random overwrites are written eleven times at most, and little of what they replace stays', (t) => {
  const { database, writeAmplification } = simulate('uniform', 0);
  t.true(writeAmplification < 11, String(writeAmplification));
  t.true(database.bytes < 1.25 * database.liveBytes);
  database.settle();
  t.true(database.bytes <= 1.05 * database.liveBytes);
});

test('deletions are brought down: the space of what they delete comes back', (t) => {
  const { database } = simulate('uniform', 5);
  database.settle();
  t.true(database.bytes <= 1.06 * database.liveBytes, String(database.bytes / database.liveBytes));
});

test('hot spots cost less than random keys', (t) => {
  const hot = simulate('hot-spot', 0).writeAmplification;
  t.true(hot < 0.8 * simulate('uniform', 0).writeAmplification, String(hot));
});
