/** abstract-level's public test suite on databases of ours in temporary directories. */
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AbstractResource } from 'abstract-level';
import test from 'ava';
import { QuadringLevel, type LevelOptions, type OpenOptions } from '../../src/level.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';
import { tapeOnAva, type TapeFunction } from '../support/tape-on-ava.ts';

/** The suite has no declarations. */
type Suite = (environment: {
  readonly test: TapeFunction;
  readonly factory: (options?: LevelOptions<string, string>) => SmallLevel;
}) => void;

const suite = createRequire(import.meta.url)('abstract-level/test') as Suite;

/** Small: the suite has several databases open at a time, and some of them it never closes. */
const SMALL = { writeBufferBytes: 65_536, blockCacheBytes: 65_536, blockBytes: 4096 } as const;

/** Adds options of ours behind the suite's back, which wants to see its own and no others in its hooks. */
class SmallLevel extends QuadringLevel {
  static backend: Backend = 'uring';
  readonly #emitters: EventEmitter[] = [this];

  /** Sublevels among others. */
  override attachResource(resource: AbstractResource): void {
    if (resource instanceof EventEmitter) this.#emitters.push(resource);
    super.attachResource(resource);
  }

  /** What listens belongs to a test that has ended. */
  async closeForGood(): Promise<void> {
    for (const emitter of this.#emitters) emitter.removeAllListeners();
    try {
      await this.close();
    } catch (error) {
      // A test of hooks attaches a resource that cannot be closed, and the database with it cannot be closed either.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'LEVEL_STATUS_LOCKED' && code !== 'LEVEL_DATABASE_NOT_CLOSED') throw error;
      await this._close();
    }
  }

  override _open(options: OpenOptions): Promise<void> {
    return super._open({ ...options, ...SMALL, io: ioOf(SmallLevel.backend) });
  }
}

/**
 * Declares the suite's tests. Every database gets a directory of its own.
 *
 * Half of the databases that the suite opens it never closes, so they are closed here: those that a test called "setup"
 * has opened behind the "teardown" of the same part, all others behind the test that has opened them.
 */
export function declareSuite(backend: Backend): void {
  const root = mkdtempSync(join(tmpdir(), 'quadring-level-'));
  let count = 0;
  let shared: SmallLevel[] = [];
  let opened: SmallLevel[] = [];
  SmallLevel.backend = backend;
  suite({
    test: tapeOnAva(),
    factory: (options) => {
      const level = new SmallLevel(join(root, String(count++)), options);
      opened.push(level);
      return level;
    },
  });
  test.afterEach.always('databases that the test leaves open are closed', async (t) => {
    if (/ setup\b/.test(t.title)) {
      shared.push(...opened);
    } else {
      await Promise.all(opened.map((level) => level.closeForGood()));
    }
    opened = [];
    if (/ teardown\b/.test(t.title)) {
      await Promise.all(shared.map((level) => level.closeForGood()));
      shared = [];
    }
  });
  test.after.always('nothing is left', async () => {
    await Promise.all([...shared, ...opened].map((level) => level.closeForGood()));
    rmSync(root, { recursive: true, force: true });
  });
}
