/** When an open database gives back what it has of the world: nothing of its crew may be at work any more. */
import test from 'ava';
import { Holdings } from '../../src/main/holdings.ts';
import { resolveOptions } from '../../src/main/options.ts';
import { ROLE_COUNT } from '../../src/protocol/requests.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';

test('a lock was given back while a thread was still at work in the directory', async (t) => {
  const { environment } = simulatedWorld({ disk: new SimulatedDisk(), random: Math.random });
  const closed: number[] = [];
  let end!: () => void;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const { fileSystem } = environment;
  const holdings = new Holdings(
    {
      ...environment,
      fileSystem: { ...fileSystem, closeDirectory: (handle) => void closed.push(handle) },
      releaseCrew: () => Promise.resolve({ ended }),
    },
    await environment.acquireCrew(resolveOptions({ writeBufferBytes: 65_536 })),
  );
  fileSystem.makeDirectory(SIMULATED_DIRECTORY);
  await holdings.takeDirectory(SIMULATED_DIRECTORY, 0);
  const handles = [...holdings.directoryHandles];
  await holdings.giveBack();
  const path = `${SIMULATED_DIRECTORY}/LOCK`;
  t.is(fileSystem.lock(path, 'open'), 1, 'it is held');
  t.deepEqual(closed, []);
  end();
  await ended;
  const lock = fileSystem.lock(path, 'open');
  t.is(typeof lock, 'object');
  t.deepEqual(closed.sort(), handles);
  t.is(new Set(handles).size, ROLE_COUNT, 'each thread has its own');
});
