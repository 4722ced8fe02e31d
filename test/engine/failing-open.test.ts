/**
 * Opening fails at one place after the other: whatever it reads of its settings, and whatever it asks of the file system,
 * throws once. What it had taken by then is let go each time, and the error is the one that was thrown. Owner and roles
 * run in one thread over a disk in memory.
 */
import test, { type ExecutionContext } from 'ava';
import type { Crew } from '../../src/main/crew.ts';
import type { Environment } from '../../src/main/environment.ts';
import type { FileSystem } from '../../src/main/file-system.ts';
import { openEngine } from '../../src/main/open.ts';
import { resolveOptions, type Settings } from '../../src/main/options.ts';
import { expectCode } from '../support/errors.ts';
import { HeldWorld } from '../support/held-world.ts';
import { SIMULATED_DIRECTORY } from '../support/simulated-environment.ts';

/** More than an open reads and asks: one that never gets through is found out. */
const PLACES_MAX = 200;

class Injected extends Error {}

/** Counts what is read of what it watches; the read of that number throws. */
class Saboteur {
  reads = 0;
  /** What was being read when it struck. */
  place: string | undefined;
  readonly #at: number;

  constructor(at: number) {
    this.#at = at;
  }

  /** The object and those in it, but not what undoes an open: nothing fails twice. */
  watched<Of extends object>(of: Of, name: string, except: ReadonlySet<string> = new Set()): Of {
    return new Proxy(of, {
      get: (target, property, receiver) => {
        const value: unknown = Reflect.get(target, property, receiver);
        if (typeof property === 'symbol' || except.has(property)) return value;
        if (++this.reads === this.#at) {
          this.place = `${name}.${property}`;
          throw new Injected(this.place);
        }
        const isPlain = typeof value === 'object' && value !== null && !Array.isArray(value);
        return isPlain ? this.watched(value, `${name}.${property}`) : value;
      },
    });
  }
}

/** Directories that are open. */
function countingDirectories(fileSystem: FileSystem): { fileSystem: FileSystem; open: Set<number> } {
  const open = new Set<number>();
  return {
    open,
    fileSystem: {
      ...fileSystem,
      openDirectory(path) {
        const handle = fileSystem.openDirectory(path);
        open.add(handle);
        return handle;
      },
      closeDirectory(handle) {
        open.delete(handle);
        fileSystem.closeDirectory(handle);
      },
    },
  };
}

async function writtenWorld(): Promise<HeldWorld> {
  const world = new HeldWorld();
  const database = await world.open();
  await database.put('in a table', '1');
  await database.flush();
  await database.put('in a log', '2');
  await database.close();
  return world;
}

async function expectIntact(t: ExecutionContext, world: HeldWorld, place: string): Promise<void> {
  const database = await world.open();
  t.is(String(await database.get('in a table')), '1', place);
  t.is(String(await database.get('in a log')), '2', place);
  await database.close();
}

/** Opens as often as there are places at which it can fail; gives what they are. */
async function failEverywhere(
  t: ExecutionContext,
  world: HeldWorld,
  sabotaged: (saboteur: Saboteur, settings: Settings, environment: Environment) => [Settings, Environment],
): Promise<string[]> {
  const settings = resolveOptions({ writeBufferBytes: 65_536, blockCacheBytes: 0 });
  const places: string[] = [];
  for (let at = 1; at < PLACES_MAX; at++) {
    const { fileSystem, open } = countingDirectories(world.environment.fileSystem);
    const saboteur = new Saboteur(at);
    const releasedBefore = world.released;
    let taken = 0;
    const acquireCrew: Environment['acquireCrew'] = () => {
      taken++;
      // What a crew reads of its settings is the world's own affair.
      return world.environment.acquireCrew(settings);
    };
    const opening = openEngine(
      SIMULATED_DIRECTORY,
      ...sabotaged(saboteur, settings, { ...world.environment, fileSystem, acquireCrew }),
    );
    const [outcome] = await Promise.allSettled([opening]);
    const { place } = saboteur;
    if (place === undefined) {
      t.is(outcome.status, 'fulfilled', 'nothing fails that nobody made fail');
      if (outcome.status === 'fulfilled') await outcome.value.close();
      return places;
    }
    places.push(place);
    if (outcome.status === 'fulfilled') {
      await outcome.value.close();
    } else {
      const error = outcome.reason as Error;
      const first = error instanceof Injected ? error : error.cause;
      t.true(first instanceof Injected, `${place}: ${error.stack}`);
    }
    t.false(world.disk.locked, `${place}: the lock is let go`);
    t.is(world.released, releasedBefore + taken, `${place}: the crew is given back`);
    t.is(open.size, 0, `${place}: the directory is closed`);
    t.deepEqual([...world.openFiles.values()], [], `${place}: files are closed`);
    t.deepEqual(await world.requestsAfterRelease(), [], `${place}: nobody uses the crew any more`);
    // Also takes away what the attempt has left, so that the next one finds what this one found.
    await expectIntact(t, world, place);
  }
  return t.fail('an open that nothing disturbs comes to its end');
}

test.serial('an open that fails before all of its parts exist lets go of lock, crew and files', async (t) => {
  const world = await writtenWorld();
  const places = await failEverywhere(t, world, (saboteur, settings, environment) => [
    saboteur.watched(settings, 'settings'),
    environment,
  ]);
  // The log's writer, the flusher and the compactor are there, the write path is not.
  t.true(places.includes('settings.liveLogBytesMax'), places.join());
  t.log(`${places.length} places`);
});

test.serial('an open that the file system fails lets go of lock, crew and files', async (t) => {
  const world = await writtenWorld();
  const undoing = new Set(['closeDirectory']);
  const places = await failEverywhere(t, world, (saboteur, settings, environment) => {
    const fileSystem = saboteur.watched(environment.fileSystem, 'fileSystem', undoing);
    return [settings, { ...environment, fileSystem }];
  });
  for (const call of ['lock', 'openDirectory', 'list', 'read'])
    t.true(places.includes(`fileSystem.${call}`), call);
  t.log(`${places.length} places`);
});

test.serial('an open that fails and cannot be undone says both, and lets go of the lock', async (t) => {
  const world = await writtenWorld();
  const first = new Injected('the first');
  const second = new Injected('the second');
  const fileSystem: FileSystem = {
    ...world.environment.fileSystem,
    supportsDirectIo() {
      throw first;
    },
    closeDirectory() {
      throw second;
    },
  };
  const opening = world.open({ writeBufferBytes: 65_536 }, { ...world.environment, fileSystem });
  const error = await expectCode(t, 'IO_ERROR', () => opening);
  t.true(error.message.includes(first.message), error.message);
  t.is(error.message.split('could not all be closed').length, 2, error.message);
  const { errors } = error.cause as AggregateError;
  t.is(errors[0], first);
  t.is(errors[1], second);
  t.false(world.disk.locked);
  await expectIntact(t, world, 'afterwards');
});

test.serial(
  'a close that cannot take back what it lent lets go of the lock, and the crew is not used again',
  async (t) => {
    const world = await writtenWorld();
    const crews: Crew[] = [];
    const environment: Environment = {
      ...world.environment,
      async acquireCrew(settings) {
        const crew = await world.environment.acquireCrew(settings);
        crews.push(crew);
        return crew;
      },
    };
    const settings = resolveOptions({ writeBufferBytes: 65_536 });
    const engine = await openEngine(SIMULATED_DIRECTORY, settings, environment);
    const refused = new Injected('the arenas cannot be taken back');
    engine.memtables.resetAll = () => {
      throw refused;
    };
    t.is(await t.throwsAsync(engine.close()), refused);
    t.is(crews[0].failure, refused);
    t.false(world.disk.locked);
    t.is(world.released, 2);
    await expectIntact(t, world, 'afterwards');
  },
);
