/**
 * The owner's side of the four request queues: hands requests out, publishes many with one wake-up, takes completions. Owner
 * only.
 *
 * A request is written into its role's queue at once and published in a microtask, a step, with at most one wake per ring
 * thread. Steps also tell results of the owner's own ring, some in each (caller-io.ts). Completion handlers run inside
 * steps, `drain` and `waitUntil`, and where a ring fails: they do bookkeeping and resolve promises (whose callbacks run later, as
 * microtasks), and never call user code.
 *
 * Bounds: OUTSTANDING_MAX requests of each role; what is more waits in a backlog whose length its callers bound (block
 * reads by the cache's slots, writes by the queue of waiting writes, a constant number from the rest).
 */
import { join } from 'node:path';
import { assert, must } from '../assert.ts';
import type { QuadringError } from '../errors.ts';
import { AdaptiveSpin } from '../atomics-sync/adaptive-spin.ts';
import { SpscConsumer, SpscProducer } from '../atomics-sync/spsc-queue.ts';
import { DoorbellSleeper, PARKED_IN_KERNEL } from '../atomics-sync/doorbell.ts';
import { OWNER_EVENT_WORD, QUEUE_CAPACITY, roleWords } from '../protocol/crew-layout.ts';
import {
  REQUEST_ARGUMENTS,
  REQUEST_ID,
  REQUEST_OPCODE,
  RESULT_WORKER_FAILED,
  ROLE_IDS,
  type RoleId,
} from '../protocol/requests.ts';
import type { CallerIo } from './caller-io.ts';
import type { Crew } from './crew.ts';
import { Fifo } from './fifo.ts';
import { roleError } from './io-errors.ts';

/** Called once, with what the role answered. */
export type CompletionHandler = (result: number, detail0: number, detail1: number) => void;

export interface Answer {
  readonly result: number;
  readonly detail0: number;
  readonly detail1: number;
}

/** As many as a completion queue holds, so that it can never overflow. */
const OUTSTANDING_MAX = QUEUE_CAPACITY;
/** With more requests on their way than these, one or the other is answered while the event loop wakes up. */
const POLLED_REQUESTS_MAX = 2;
/** A poll ends after so many turns, also where its clock stands still. */
const POLL_TURNS_MAX = 10_000;
/** Steps with results of the owner's own ring that follow one another as microtasks: then the event loop has its turn. */
const STEPS_MAX = 32;
/** One slice of a synchronous wait; after it the crew's health is looked at. */
const WAIT_SLICE_MS = 100;
/** The same where the owner's own ring has something under way, but what is waited for may come from a thread. */
const SHARED_WAIT_MICROSECONDS = 1000;

interface BackloggedRequest {
  readonly opcode: number;
  readonly args: readonly number[];
  readonly handler: CompletionHandler;
}

interface Poll {
  readonly begunMs: number;
  readonly budgetMicroseconds: number;
  turns: number;
}

interface RoleQueues {
  readonly requests: SpscProducer;
  readonly completions: SpscConsumer;
  readonly handlers: (CompletionHandler | undefined)[];
  readonly freeIds: number[];
  readonly backlog: Fifo<BackloggedRequest>;
  outstanding: number;
}

export class IoScheduler {
  /** The database's directory, for errors that name a file. */
  readonly directory: string;
  /** The owner's own ring, where it has one: published, drained and waited for with what the roles are asked. */
  callerIo: CallerIo | undefined;
  readonly #crew: Crew;
  readonly #roles: readonly RoleQueues[];
  readonly #eventSleeper: DoorbellSleeper;
  readonly #spin: AdaptiveSpin;
  readonly #now: () => number;
  /** Of its own: what it learns of synchronous waits says nothing about turns of the event loop. */
  readonly #pollSpin: AdaptiveSpin;
  /** Of the turns of the event loop that look for completions; undefined: none is to come. */
  #polling: Poll | undefined;
  #outstanding = 0;
  /** Of these the owner's own. */
  #callerOutstanding = 0;
  /** Something is outstanding, or has just been answered. */
  #isAwaited = false;
  /** A step is to come, or under way. */
  #isStepScheduled = false;
  /** Something was asked for and has not been handed over. */
  #hasGathered = false;
  /** Steps that have told results since the event loop was seen to have a turn. */
  #stepsOfTurn = 0;
  #failure: Error | undefined;
  #idleWaiters: (() => void)[] = [];
  readonly #stepInMicrotask = (): void => this.#step();
  readonly #stepInTurn = (): void => {
    this.#stepsOfTurn = 0;
    this.#step();
  };
  readonly #pollInTurn = (): void => this.#poll();
  readonly #hasCompletions = (): boolean => {
    // After a failure nobody takes them any more.
    if (this.#failure !== undefined) return false;
    for (const queues of this.#roles) if (queues.completions.hasMore()) return true;
    return false;
  };

  constructor(
    crew: Crew,
    directory: string,
    options: { readonly spinMicroseconds: number; readonly now: () => number },
  ) {
    this.directory = directory;
    this.#crew = crew;
    this.#roles = ROLE_IDS.map((role) => {
      const words = roleWords(crew.control, role);
      return {
        requests: new SpscProducer(words.requests),
        completions: new SpscConsumer(words.completions),
        handlers: new Array<CompletionHandler | undefined>(OUTSTANDING_MAX).fill(undefined),
        freeIds: Array.from({ length: OUTSTANDING_MAX }, (_, i) => OUTSTANDING_MAX - 1 - i),
        backlog: new Fifo(),
        outstanding: 0,
      };
    });
    this.#eventSleeper = new DoorbellSleeper(crew.control, OWNER_EVENT_WORD);
    this.#now = options.now;
    const spin = { budgetMicroseconds: options.spinMicroseconds, now: options.now };
    this.#spin = new AdaptiveSpin(spin);
    this.#pollSpin = new AdaptiveSpin(spin);
  }

  /** The error that an answer means. `act` and the file's name begin the sentence: "reading", "000012.sst". */
  errorOf(act: string, name: string, { result, detail0, detail1 }: Answer, offset?: number): QuadringError {
    const file = join(this.directory, name);
    return roleError(
      `${act} ${name}`,
      result,
      detail0,
      detail1,
      offset === undefined ? { file } : { file, offset },
    );
  }

  /** Requests that have not been answered. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /**
   * Asks a role for something; it is published by a step, before this turn of the event loop ends or early in the next, or by
   * `publish`.
   */
  request(
    role: RoleId,
    opcode: number,
    handler: CompletionHandler,
    argument0 = 0,
    argument1 = 0,
    argument2 = 0,
    argument3 = 0,
    argument4 = 0,
  ): void {
    if (this.#failure !== undefined) {
      queueMicrotask(() => handler(RESULT_WORKER_FAILED, 0, 0));
      return;
    }
    const queues = this.#roles[role];
    const id = queues.freeIds.pop();
    const args = id === undefined ? [argument0, argument1, argument2, argument3, argument4] : undefined;
    this.#noteBegun();
    if (id === undefined) {
      queues.backlog.push({ opcode, args: must(args, 'a backlogged request keeps its arguments'), handler });
    } else {
      this.#write(queues, id, opcode, handler, argument0, argument1, argument2, argument3, argument4);
    }
  }

  #noteBegun(): void {
    if (this.#outstanding++ === 0) {
      this.#isAwaited = true;
      this.#crew.keepAlive(true);
    }
    this.#hasGathered = true;
    this.#scheduleStep();
  }

  /**
   * A step comes behind what waits for the results of the one before, and hands over what that asks for. Without end where the
   * disk is as fast as this thread, or the page cache has it all: so after some of them one waits for the event loop's next turn.
   */
  #scheduleStep(): void {
    if (this.#isStepScheduled) return;
    this.#isStepScheduled = true;
    if (this.#stepsOfTurn < STEPS_MAX) queueMicrotask(this.#stepInMicrotask);
    else this.#crew.inNextTurn(this.#stepInTurn);
  }

  #step(): void {
    try {
      this.publish();
      if (this.callerIo?.hasAnswers === true) this.#stepsOfTurn++;
      this.callerIo?.answer();
    } finally {
      // Not before: the next one would come ahead of what waits for these results.
      this.#isStepScheduled = false;
      if (this.#hasGathered) this.#scheduleStep();
      this.#noteSettled();
      this.#rest();
    }
  }

  /** An operation of the owner's own ring has begun, which is to be published and awaited like requests. */
  noteCallerBegun(): void {
    this.#callerOutstanding++;
    this.#noteBegun();
  }

  noteCallerEnded(): void {
    this.#callerOutstanding--;
    this.#outstanding--;
  }

  /** Resolves when the event loop has had its turn. */
  nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#crew.inNextTurn(resolve));
  }

  /** `request` as a promise; it never rejects. */
  ask(role: RoleId, opcode: number, ...args: [number?, number?, number?, number?, number?]): Promise<Answer> {
    return new Promise((resolve) => {
      const handler: CompletionHandler = (result, detail0, detail1) => resolve({ result, detail0, detail1 });
      this.request(role, opcode, handler, ...args);
    });
  }

  #write(
    queues: RoleQueues,
    id: number,
    opcode: number,
    handler: CompletionHandler,
    argument0: number,
    argument1: number,
    argument2: number,
    argument3: number,
    argument4: number,
  ): void {
    const at = queues.requests.reserve();
    assert(at >= 0, 'a request queue holds as many requests as may be outstanding');
    const words = this.#crew.control;
    words[at + REQUEST_OPCODE] = opcode;
    words[at + REQUEST_ID] = id;
    words[at + REQUEST_ARGUMENTS] = argument0;
    words[at + REQUEST_ARGUMENTS + 1] = argument1;
    words[at + REQUEST_ARGUMENTS + 2] = argument2;
    words[at + REQUEST_ARGUMENTS + 3] = argument3;
    words[at + REQUEST_ARGUMENTS + 4] = argument4;
    queues.handlers[id] = handler;
    queues.outstanding++;
  }

  /** Hands over everything that has gathered. */
  publish(): void {
    this.#hasGathered = false;
    try {
      this.callerIo?.submit();
    } finally {
      this.#noteSettled();
      this.publishToRoles();
    }
  }

  /** The same before this turn of the event loop ends, if anything has gathered. */
  publishGathered(): void {
    if (this.#hasGathered) this.publish();
  }

  /** Makes requests visible to the ring threads and wakes those that sleep. */
  publishToRoles(): void {
    if (this.#failure !== undefined) return;
    for (const role of ROLE_IDS) if (this.#roles[role].requests.publish()) this.#crew.ring(role);
  }

  /**
   * Runs the handlers of all completions of the roles that have come, and of some of the owner's own ring; how many have come.
   * One that throws ends it: the rest comes later.
   */
  drain(): number {
    try {
      return (this.callerIo?.drain() ?? 0) + this.#drainRoles();
    } finally {
      this.#noteSettled();
    }
  }

  #drainRoles(): number {
    let drained = 0;
    for (const queues of this.#roles) if (queues.outstanding > 0) drained += this.#drainRole(queues);
    return drained;
  }

  #noteSettled(): void {
    if (this.#outstanding === 0 && this.#isAwaited) this.#becomeIdle();
    if (this.callerIo?.hasAnswers === true) this.#scheduleStep();
  }

  /** Resolves when every request has been answered. */
  whenIdle(): Promise<void> {
    if (this.#outstanding === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #becomeIdle(): void {
    this.#isAwaited = false;
    this.#crew.keepAlive(false);
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #drainRole(queues: RoleQueues): number {
    const { completions, handlers, freeIds, backlog } = queues;
    const words = this.#crew.control;
    let drained = 0;
    for (let at = completions.next(); at >= 0; at = completions.next()) {
      const id = words[at];
      const result = words[at + 1];
      const detail0 = words[at + 2];
      const detail1 = words[at + 3];
      completions.release();
      const handler = must(handlers[id], 'a completion belongs to a request');
      handlers[id] = undefined;
      queues.outstanding--;
      this.#outstanding--;
      drained++;
      if (backlog.length === 0) {
        freeIds.push(id);
      } else {
        const next = backlog.shift();
        const [a = 0, b = 0, c = 0, d = 0, e = 0] = next.args;
        this.#write(queues, id, next.opcode, next.handler, a, b, c, d, e);
      }
      handler(result, detail0, detail1);
    }
    return drained;
  }

  /** The crew's signal: take what has come, publish what that led to, and ask for the next signal. */
  onWake(): void {
    this.#stepsOfTurn = 0;
    try {
      this.drain();
      this.publish();
    } finally {
      // What a handler throws is for whoever catches such errors of the process; the next answer is to come all the same.
      this.#rest();
    }
  }

  /** Blocks this thread until `isDone`, which completion handlers make true. */
  waitUntil(isDone: () => boolean): void {
    const { callerIo } = this;
    try {
      for (;;) {
        this.publishToRoles();
        if (callerIo?.isBusy === true && !isDone() && !this.#hasCompletions()) this.#waitForCaller(callerIo);
        this.#drainRoles();
        if (isDone() || this.#failure !== undefined) break;
        this.publishToRoles();
        if (callerIo?.isBusy === true || this.#spin.spin(this.#hasCompletions)) continue;
        this.#crew.waitForCompletions(this.#hasCompletions, WAIT_SLICE_MS);
      }
    } finally {
      this.#noteSettled();
    }
    this.publish();
    this.#rest();
  }

  /** What is gathered is handed over, waited for and taken by one call where it can be. Without a spin: no thread is woken. */
  #waitForCaller(callerIo: CallerIo): void {
    const isShared = this.#hasRequests;
    const completed = callerIo.wait(isShared ? SHARED_WAIT_MICROSECONDS : WAIT_SLICE_MS * 1000);
    // What is waited for may be a thread's to answer, and that thread dead.
    if (completed === 0 && isShared) this.#crew.waitForCompletions(this.#hasCompletions, 1);
  }

  /** Whether a role has still to answer something. */
  get #hasRequests(): boolean {
    return this.#outstanding > this.#callerOutstanding;
  }

  /** A ring thread died: whatever is outstanding is answered with that. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.drain();
    this.#failure = error;
    for (const queues of this.#roles) {
      const handlers = queues.handlers.filter((handler) => handler !== undefined);
      const backlog = queues.backlog.takeAll();
      queues.handlers.fill(undefined);
      queues.outstanding = 0;
      for (const handler of handlers) handler(RESULT_WORKER_FAILED, 0, 0);
      for (const { handler } of backlog) handler(RESULT_WORKER_FAILED, 0, 0);
    }
    this.#outstanding = this.#callerOutstanding;
    if (this.#outstanding === 0) this.#becomeIdle();
  }

  /**
   * Goes back to the event loop: to sleep there until there are completions or, where spinning is allowed and few requests are
   * on their way, to look for them in each of its turns for a while. That takes a core, and spares the wake-up.
   */
  #rest(): void {
    if (this.#polling !== undefined || this.#outstanding === 0) return;
    const isLittle = this.#hasRequests && this.#outstanding <= POLLED_REQUESTS_MAX;
    const budgetMicroseconds = isLittle ? this.#pollSpin.begin() : 0;
    if (budgetMicroseconds === 0) this.#armWake();
    else this.#pollLater({ begunMs: this.#now(), budgetMicroseconds, turns: 0 });
  }

  #pollLater(poll: Poll): void {
    this.#polling = poll;
    this.#crew.inNextTurn(this.#pollInTurn);
  }

  /** One turn of the event loop. What else waits there has its turns in between. */
  #poll(): void {
    const poll = must(this.#polling, 'a poll has been begun');
    this.#polling = undefined;
    this.#stepsOfTurn = 0;
    try {
      const drained = this.drain();
      this.publish();
      const takenMicroseconds = Math.max(0, (this.#now() - poll.begunMs) * 1000);
      if (drained > 0) {
        this.#pollSpin.end(takenMicroseconds);
      } else if (this.#outstanding > 0) {
        poll.turns += 1;
        if (takenMicroseconds < poll.budgetMicroseconds && poll.turns < POLL_TURNS_MAX) {
          this.#pollLater(poll);
          return;
        }
        this.#pollSpin.end(-1);
        this.#armWake();
        return;
      }
      // Where a synchronous wait has taken all that there was, nothing was learned.
      this.#rest();
    } catch (error) {
      // What a handler throws is for whoever catches such errors of the process; the next answer is to come all the same.
      this.#armWake();
      throw error;
    }
  }

  /** Announces that this thread goes back to its event loop, and looks once more (see atomics-sync/doorbell.ts). */
  #armWake(): void {
    while (this.#outstanding > 0) {
      this.#eventSleeper.announce(PARKED_IN_KERNEL);
      if (!this.#hasCompletions()) return;
      this.#eventSleeper.cancel();
      this.drain();
      this.publish();
    }
  }
}
