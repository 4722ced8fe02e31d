/**
 * One life of a process that is to be killed: started, listened to, killed at a random moment, awaited. None is left
 * behind: each is killed by its handle when its life goes wrong or takes too long, and all that live are when this
 * process exits; should this process be killed itself, they end at their next report.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Readable } from 'node:stream';
import { takeAim, type KillAim } from './kill-aim.ts';
import type { KillChildTask } from './kill-child.ts';
import { ACKNOWLEDGED, OPENING, RecordReader, REPORT_DESCRIPTOR, type KillRecord } from './kill-protocol.ts';

/** No life takes as long as this unless it hangs. */
const LIFE_MS_MAX = 60_000;
/** Of what a child writes to stderr. */
const ERROR_TEXT_MAX = 20_000;

const program = fileURLToPath(new URL(`kill-child${import.meta.url.slice(-3)}`, import.meta.url));
const living = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/**
 * Runs a child until it is killed, as `aim` says, counted from the first acknowledgement (of a writing one) or from when
 * the first open began (of a recovering one). Resolves, with whether what was aimed at was met, when it is gone and every
 * record has been given to `onRecord`. Rejects when it ends in any other way, when `onRecord` throws, or when the child is
 * still there after `lifeMsMax`.
 */
export function liveAndDie(
  task: KillChildTask,
  aim: KillAim,
  onRecord: (record: KillRecord) => void,
  lifeMsMax = LIFE_MS_MAX,
): Promise<boolean> {
  const triggeredBy = task.kind === 'write' ? ACKNOWLEDGED : OPENING;
  const child = spawn(process.execPath, [program, JSON.stringify(task)], {
    stdio: ['ignore', 'inherit', 'pipe', 'pipe'],
  });
  living.add(child);
  const reports = child.stdio[REPORT_DESCRIPTOR] as Readable;
  const reader = new RecordReader();
  let errorText = '';
  let failure: Error | undefined;
  let giveUp: (() => void) | undefined;
  let killed = false;
  let met = false;

  const fail = (error: Error): void => {
    failure ??= error;
    child.kill('SIGKILL');
  };
  const watchdog = setTimeout(
    () => fail(new Error(`the child did nothing to be killed for in ${lifeMsMax} ms`)),
    lifeMsMax,
  );

  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (errorText.length < ERROR_TEXT_MAX) errorText += text;
  });
  reports.on('data', (piece: Buffer) => {
    try {
      for (const record of reader.push(piece)) {
        onRecord(record);
        if (record.kind !== triggeredBy || giveUp !== undefined) continue;
        giveUp = takeAim(task.directory, aim, (isMet) => {
          killed = child.kill('SIGKILL');
          met = isMet;
        });
      }
    } catch (error) {
      fail(error as Error);
    }
  });
  return new Promise((resolve, reject) => {
    child.on('error', fail);
    // After the exit, and after the pipes have given all that was in them.
    child.on('close', (code, signal) => {
      living.delete(child);
      clearTimeout(watchdog);
      giveUp?.();
      if (failure === undefined && killed && signal === 'SIGKILL') {
        resolve(met);
      } else {
        const end = signal === null ? `ended with ${code}` : `was ended by ${signal}`;
        reject(
          failure ??
            new Error(`the child ${end} before it was killed${errorText === '' ? '' : `:\n${errorText}`}`),
        );
      }
    });
  });
}
