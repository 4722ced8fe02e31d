/** What `quadring probe` found out, as text for people, and what could be changed. Pure. */
import type { BlockDevice } from '../main/block-device.ts';
import type { DirectAlignment, ProbeReport } from './probe.ts';
import type { Limit, ProcessLimits } from './process-limits.ts';
import { URING_FEATURES, type UringFeature } from './uring-features.ts';

/** A database has a descriptor for each table, of 2 MiB by default: so many are 8 GiB. */
const OPEN_FILES_MIN = 4096;
const MEBIBYTE = 1 << 20;

export function formatProbe(report: ProbeReport): string {
  const { linux, node, cores, kernel } = report;
  const advice = adviceOn(report);
  return [
    `Linux ${linux}, Node ${node}, ${cores} cores, liburing ${kernel.liburing}`,
    '',
    ...(kernel.refusal === null ? featureTable(report) : [`no io_uring: ${kernel.refusal}`]),
    '',
    ...(report.ring === null ? ['no ring like those of a database'] : ringLines(report.ring)),
    '',
    ...limitLines(report.limits),
    ...(report.storage === null ? [] : ['', ...storageLines(report.storage)]),
    '',
    ...(advice.length === 0 ? ['nothing to be changed'] : ['what could be changed', ...advice.map(item)]),
  ].join('\n');
}

/** What keeps databases on this machine from doing what they could, and what to do about it; one sentence each. */
export function adviceOn({ ring, ringRefusal, limits, storage, cores }: ProbeReport): string[] {
  const advice: string[] = [];
  if (ringRefusal !== null) {
    advice.push(`databases make system calls in place of io_uring: ${ringRefusal}`);
  }
  if (ring !== null) advice.push(...ringAdvice(ring));
  if (typeof limits.openFiles === 'number' && limits.openFiles < OPEN_FILES_MIN) {
    advice.push(
      `a database has a descriptor for each table where its rings have no room for it, and this process may have ${limits.openFiles}: raise \`ulimit -n\` ` +
        `or LimitNOFILE= in the service's unit`,
    );
  }
  if (limits.hugePages === 'never') {
    advice.push(
      'the block cache has no huge pages: allow them with ' +
        '`echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`',
    );
  }
  if (cores === 1)
    advice.push('with one core nothing spins: each answer of a ring thread waits for a wake-up');
  if (storage !== null) advice.push(...storageAdvice(storage));
  return advice;
}

function ringAdvice(ring: NonNullable<ProbeReport['ring']>): string[] {
  const { registrationRefusal, fixedFilesRefusal, providedBuffersRefusal, idlePriorityRefusal } = ring;
  const refusals: [string, string | null][] = [
    ['not all of a block cache of 32 MiB could be registered', registrationRefusal],
    ['each operation looks its file up', fixedFilesRefusal],
    ['scans read ahead without provided buffers', providedBuffersRefusal],
    ['compactions read and write with the priority of everything else', idlePriorityRefusal],
  ];
  return refusals.flatMap(([effect, refusal]) => (refusal === null ? [] : [`${effect}: ${refusal}`]));
}

function storageAdvice({ disks, fileSystem }: NonNullable<ProbeReport['storage']>): string[] {
  const advice: string[] = [];
  for (const { name, isRotational, scheduler, hasVolatileCache, writesThrough } of disks) {
    if (isRotational === true) advice.push(`${name} says that it rotates: tables are read in random order`);
    if (scheduler === 'none') {
      advice.push(
        `${name} has no I/O scheduler: compactions are not put behind reads (compaction.priority is ignored)`,
      );
    }
    if (hasVolatileCache === true && writesThrough === false) {
      advice.push(`${name} cannot write through its cache: each durable write flushes all of it`);
    }
  }
  if (fileSystem === 'tmpfs' || fileSystem === 'ramfs') {
    advice.push(`${fileSystem} is memory: nothing in it outlives the machine's next start`);
  }
  return advice;
}

function featureTable({ kernel }: ProbeReport): string[] {
  const rows = URING_FEATURES.map((feature) => {
    const answer = answerOn(kernel, feature);
    return [feature.name, feature.since, answer, feature.use];
  });
  return columns([['io_uring', 'since', 'kernel', 'use'], ...rows]);
}

function answerOn(kernel: ProbeReport['kernel'], { group, name }: UringFeature): string {
  const answer = kernel[group][name];
  if (answer === true || answer === null) return 'yes';
  return answer === false ? 'no' : (answer ?? 'unknown');
}

function ringLines(ring: NonNullable<ProbeReport['ring']>): string[] {
  const { flags, entries, completionEntries, registeredBytes, fixedFiles, providedBuffers, idlePriority } =
    ring;
  return [
    `a ring of ${entries} entries and ${completionEntries} completions obtains ${flags.join(', ') || 'no flags'}`,
    `registered     ${registeredBytes / MEBIBYTE} MiB of buffers; ${providedBuffers} can be provided`,
    `files          ${fixedFiles === 0 ? 'have descriptors' : `${fixedFiles} without descriptors`}`,
    `idle priority  ${idlePriority ? 'yes' : 'no'}`,
  ];
}

function limitLines(limits: ProcessLimits): string[] {
  const { lockedMemoryBytes, mayLockAnything, openFiles, uringDisabled, isFiltered, hugePages } = limits;
  const locked = lockedMemoryBytes === undefined ? 'unknown' : sizeOf(lockedMemoryBytes);
  return [
    `locked memory  ${mayLockAnything === true ? 'without limit (CAP_IPC_LOCK)' : locked}`,
    `open files     ${openFiles ?? 'unknown'}`,
    `io_uring       kernel.io_uring_disabled ${uringDisabled ?? 'is not there'}; ` +
      `a filter of system calls: ${yesNo(isFiltered)}`,
    `huge pages     ${hugePages ?? 'unknown'}`,
  ];
}

function storageLines(storage: NonNullable<ProbeReport['storage']>): string[] {
  const { directory, fileSystem, layers, gap, direct } = storage;
  return [
    `${directory} on ${fileSystem ?? 'an unknown file system'}, O_DIRECT ${directText(direct)}`,
    ...columns([
      ['device', 'kind', 'number', 'polls', 'volatile cache', 'FUA', 'rotates', 'block', 'scheduler'],
      ...layers.map(deviceRow),
    ]).slice(layers.length === 0 ? 1 : 0),
    ...(gap === undefined ? [] : [`what lies below is not all known: ${gap}`]),
  ];
}

function deviceRow(device: BlockDevice): string[] {
  const { name, kind, major, minor, polls, hasVolatileCache, writesThrough, isRotational } = device;
  const { logicalBlockBytes, physicalBlockBytes, scheduler } = device;
  return [
    name,
    kind,
    `${major}:${minor}`,
    yesNo(polls),
    yesNo(hasVolatileCache),
    yesNo(writesThrough),
    yesNo(isRotational),
    `${logicalBlockBytes ?? '?'}/${physicalBlockBytes ?? '?'}`,
    scheduler ?? 'unknown',
  ];
}

function directText({ memory, offset }: DirectAlignment): string {
  if (memory === 0 || offset === 0) return 'with an alignment that is not known here';
  return `with memory aligned to ${memory} and offsets to ${offset} bytes`;
}

function yesNo(value: boolean | undefined): string {
  return value === undefined ? 'unknown' : value ? 'yes' : 'no';
}

function sizeOf(bytes: Limit): string {
  return bytes === 'unlimited' ? 'without limit' : `${bytes / 1024} KiB`;
}

function item(text: string): string {
  return `  - ${text}`;
}

/** Rows under each other; the last column is not filled up. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((text, column) => (column === row.length - 1 ? text : text.padEnd(widths[column] + 2))).join(''),
  );
}
