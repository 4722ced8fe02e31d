/**
 * The compaction role. Ring threads only.
 *
 * The thread and its ring are part of every crew and answer the requests that all roles share; tables are not merged
 * yet, so level 0 grows and reads look at every table of it whose key range and filter allow.
 */
import { ROLE_COMPACTION } from '../protocol/requests.ts';
import type { RequestArguments, Role, RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';

export class CompactionRole implements Role {
  readonly id = ROLE_COMPACTION;
  readonly #basics: RoleBasics;

  constructor(basics: RoleBasics) {
    this.#basics = basics;
  }

  start(opcode: number, args: RequestArguments): RoleTask {
    return this.#basics.start(opcode, args);
  }
}
