/**
 * Idle crews, waiting for the next open of this environment. Owner only.
 *
 * Starting a crew costs about 120 ms and 30 MB, and dropped shared memory is collected late; so a closed database's
 * crew is kept, and adopted by the next open whose settings need the same memory and rings.
 */
import { availableParallelism } from 'node:os';
import { ROLE_COUNT } from '../protocol/requests.ts';
import { ThreadCrew } from './thread-crew.ts';
import type { Crew, UnendedCrew } from './crew.ts';
import type { Settings } from './options.ts';

/** Beyond this many the longest idle is dismissed. */
const IDLE_CREWS_MAX = 2;

/** The caller’s thread, the ring threads, and the kernel’s thread that polls for these. */
const THREADS_WITH_POLLING = ROLE_COUNT + 2;

let hasWarned = false;
const idle: { readonly shape: string; readonly crew: ThreadCrew }[] = [];
const shapes = new WeakMap<Crew, string>();

/** What a crew is fixed to at its start. */
function shapeOf(settings: Settings): string {
  const { poolBytes, writeBufferBytes, hugePages, io } = settings;
  const rings = { ...io, direct: undefined };
  return JSON.stringify({ poolBytes, writeBufferBytes, hugePages, rings });
}

export async function acquireCrew(settings: Settings): Promise<Crew> {
  const shape = shapeOf(settings);
  // Taken out of the list in one turn: another open may be looking at it while a dismissal is waited for.
  const failed = idle.filter(({ crew }) => crew.failure !== undefined);
  const at = idle.findLastIndex((entry) => entry.shape === shape && !failed.includes(entry));
  const adopted = at < 0 ? undefined : idle.splice(at, 1)[0].crew;
  for (const entry of failed) idle.splice(idle.indexOf(entry), 1);
  // What is wrong with them is nobody's concern here: what was taken out must not be lost for it.
  await Promise.allSettled(failed.map(({ crew }) => crew.dismiss()));
  if (adopted !== undefined) {
    adopted.adopted = true;
    return adopted;
  }
  if (settings.io.polling !== 'off') warnOfFewCores();
  const crew = await ThreadCrew.start(settings);
  shapes.set(crew, shape);
  return crew;
}

/** Once: a thread that polls takes from the others what it saves them where there are not enough cores for all. */
function warnOfFewCores(): void {
  const cores = availableParallelism();
  if (hasWarned || cores >= THREADS_WITH_POLLING) return;
  hasWarned = true;
  process.emitWarning(
    `io.sqpoll has a core busy whenever anything happens, and there are ${cores} for ${THREADS_WITH_POLLING} threads: ` +
      'it is likely to be slower than without',
    'QuadringWarning',
    'QUADRING_FEW_CORES',
  );
}

export async function releaseCrew(crew: Crew): Promise<UnendedCrew | undefined> {
  crew.listener = undefined;
  const shape = shapes.get(crew);
  if (!(crew instanceof ThreadCrew) || shape === undefined) return undefined;
  if (crew.failure !== undefined) return await crew.dismiss();
  idle.push({ shape, crew });
  // One that is idle has no database's directory any more: whether it ends in time is nobody's concern.
  if (idle.length > IDLE_CREWS_MAX) await idle.shift()?.crew.dismiss();
  return undefined;
}
