/**
 * One member of a crew: builds the role, its ring and the host that runs them, from what the crew's start settled.
 * Ring threads (in tests also a single thread that plays all four).
 */
import type { SharedWords } from '../atomics-sync/words.ts';
import { roleWords, WRITE_BUFFER_COUNT } from '../protocol/crew-layout.ts';
import { ROLE_COMPACTION, ROLE_FLUSH, ROLE_FOREGROUND, ROLE_WAL, type RoleId } from '../protocol/requests.ts';
import { COMPACTION_RECORDS } from './compaction.ts';
import { CompactionRole, type CompactionClocks } from './compaction-role.ts';
import { FlushRole } from './flush-role.ts';
import { ForegroundRole } from './foreground-role.ts';
import type { Ring } from './ring.ts';
import { RoleHost } from './role-host.ts';
import { RoleIo, type RoleLimits } from './role-io.ts';
import { RoleBasics, type OpenFiles, type AttachmentSource, type Role } from './role.ts';
import { WalRole } from './wal-role.ts';

export interface CrewMemberOptions {
  readonly role: RoleId;
  readonly ring: Ring;
  readonly control: SharedWords;
  readonly statistics: Float64Array;
  readonly now: () => number;
  /** Where the role keeps the handles it has open. */
  readonly files: OpenFiles;
  readonly takeAttachment: AttachmentSource;
  /** New memory was attached to the ring. */
  readonly onAttached: () => void;
}

/** Requests that a role works on at once, and records that each may have outstanding; the product fits its ring. */
const LIMITS: Record<RoleId, RoleLimits> = {
  [ROLE_FOREGROUND]: { tasksMax: 256, recordsPerTask: 1 },
  // A table, a manifest append, log files, removals; a table has a write for each buffer and one more outstanding.
  [ROLE_FLUSH]: { tasksMax: 4, recordsPerTask: WRITE_BUFFER_COUNT + 1 },
  // A step of a compaction, with its reads and writes, and beside it whatever else there is to answer.
  [ROLE_COMPACTION]: { tasksMax: 2, recordsPerTask: COMPACTION_RECORDS },
  // One frame and, beside it, the closing of an older log or the opening of the next.
  [ROLE_WAL]: { tasksMax: 2, recordsPerTask: 1 },
};

export function createRoleHost(options: CrewMemberOptions): RoleHost {
  const { role: id, ring, control, statistics, now, files, takeAttachment, onAttached } = options;
  const { recordsPerTask } = LIMITS[id];
  const limits = {
    tasksMax: Math.min(LIMITS[id].tasksMax, Math.floor(ring.entries / recordsPerTask)),
    recordsPerTask,
  };
  const io = new RoleIo(ring, limits);
  const basics = new RoleBasics({ ring, io, role: id, files, statistics, takeAttachment, onAttached });
  const role = createRole(id, basics, { control, now });
  return new RoleHost({ ring, io, role, limits, words: roleWords(control, id), statistics, now });
}

function createRole(id: RoleId, basics: RoleBasics, clocks: CompactionClocks): Role {
  switch (id) {
    case ROLE_FOREGROUND:
      return new ForegroundRole(basics);
    case ROLE_FLUSH:
      return new FlushRole(basics);
    case ROLE_COMPACTION:
      return new CompactionRole(basics, clocks);
    case ROLE_WAL:
      return new WalRole(basics);
  }
}
