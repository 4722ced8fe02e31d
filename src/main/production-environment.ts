/** The environment of production: Node's file system, ring threads, the machine's clocks and randomness. Owner only. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { acquireCrew, releaseCrew } from './crew-pool.ts';
import type { Environment } from './environment.ts';
import { nodeFileSystem } from './file-system.ts';

export const productionEnvironment: Environment = {
  fileSystem: nodeFileSystem,
  acquireCrew,
  releaseCrew,
  now: () => performance.now(),
  wallClockSeconds: () => Math.floor(Date.now() / 1000),
  random32: () => randomBytes(4).readUInt32LE(),
  after(milliseconds, keepsAlive, callback) {
    const timer = setTimeout(callback, milliseconds);
    if (!keepsAlive) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  delay: (milliseconds) => delay(milliseconds),
};
