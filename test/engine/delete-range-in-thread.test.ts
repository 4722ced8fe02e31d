/**
 * Ranges that are deleted while the log is under way, and a log that fails: then reads see what is durable, ranges that were
 * deleted before included, whatever was to be deleted after them.
 */
import test from 'ava';
import type { Database } from '../../src/index.ts';
import { ROLE_WAL } from '../../src/protocol/requests.ts';
import { expectCode } from '../support/errors.ts';
import { HeldWorld } from '../support/held-world.ts';

const EIO = 5;

/** Every frame that is written to a log fails from now on, after so many that do not. */
function breakLogs({ disk, openFiles }: HeldWorld, framesLeft = 0): void {
  const write = disk.write.bind(disk);
  disk.write = (handle, bytes, offset, durable) => {
    const isFrame = durable && openFiles.get(handle)?.endsWith('.wal') === true;
    return isFrame && framesLeft-- <= 0 ? -EIO : write(handle, bytes, offset, durable);
  };
}

async function keysOf(database: Database): Promise<string> {
  const keys: string[] = [];
  for await (const key of database.keys({ keyEncoding: 'utf8' })) {
    expectThat(database.getSync(key) !== undefined, `a scan has ${key}, a get has not`);
    keys.push(key);
  }
  const missing = [...'abcdefgh'].filter((key) => !keys.includes(key));
  expectThat(
    missing.every((key) => database.getSync(key) === undefined),
    'a get has what a scan has not',
  );
  return keys.join('');
}

function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

async function filled(world: HeldWorld): Promise<Database> {
  const database = await world.open();
  await database.batch([...'abcdefgh'].map((key) => ({ type: 'put' as const, key, value: key })));
  return database;
}

test.serial('a range that was deleted stays deleted when a later deletion is not durable', async (assert) => {
  const world = new HeldWorld();
  const database = await filled(world);
  await database.deleteRange({ gte: 'b', lt: 'd' });
  breakLogs(world);
  const failing = [
    database.deleteRange({ gte: 'a', lt: 'g' }),
    database.batch([
      { type: 'deleteRange', gte: 'c' },
      { type: 'put', key: 'c', value: 'later' },
    ]),
    database.deleteRange({}),
  ];
  assert.is(await keysOf(database), '', 'seen at once');
  for (const each of failing) await expectCode(assert, 'FAILED', () => each);
  assert.is(await keysOf(database), 'adefgh');
  await database.close();
});

for (const isLost of [false, true]) {
  const what = isLost ? 'is lost with the one behind it' : 'becomes durable, the one behind it does not';
  test.serial(`a frame that was under way ${what}`, async (assert) => {
    const world = new HeldWorld();
    const database = await filled(world);
    await database.deleteRange({ lt: 'b' });
    world.hold(ROLE_WAL);
    const underWay = database.deleteRange({ lt: 'd' });
    // A lone write is handed over when the turn ends; what comes then gathers behind it.
    await world.turns(20);
    const gathered = [
      database.deleteRange({ lt: 'e' }),
      database.put('d', 'again'),
      database.deleteRange({ gte: 'b', lt: 'h' }),
      database.deleteRange({}),
    ];
    assert.is(await keysOf(database), '');
    breakLogs(world, isLost ? 0 : 1);
    world.release(ROLE_WAL);
    if (!isLost) await underWay;
    for (const each of isLost ? [underWay, ...gathered] : gathered)
      await expectCode(assert, 'FAILED', () => each);
    assert.is(await keysOf(database), isLost ? 'bcdefgh' : 'defgh');
    await database.close();
  });
}

test.serial(
  'ranges that are deleted while others are on their way to the disk are recovered',
  async (assert) => {
    const world = new HeldWorld();
    let database = await filled(world);
    for (let round = 0; round < 30; round++) {
      const key = 'abcdefgh'[round % 8];
      const writes = [
        database.deleteRange({ gte: key, lt: `${key}~` }),
        database.put(key, `${round}`),
        database.deleteRange({ gt: key, lte: 'f' }),
      ];
      if (round % 7 === 3) await database.flush();
      await Promise.all(writes);
      const before = await keysOf(database);
      const crashed = await new HeldWorld(world.disk.crashed('durable')).open();
      assert.is(await keysOf(crashed), before, `round ${round}`);
      await crashed.close();
      if (round % 5 === 4)
        await database.batch([...'abcdefgh'].map((each) => ({ type: 'put', key: each, value: 'v' })));
    }
    await database.close();
    database = await world.open();
    assert.true((await keysOf(database)).length > 0);
    await database.close();
  },
);
