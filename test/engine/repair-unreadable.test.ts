/**
 * Files of which the disk cannot read a part (EIO): verification says which, and repair takes the rest. What cannot be read
 * for another reason is no damage, and nothing is changed.
 */
import test from 'ava';
import { CURRENT_TEMPORARY_NAME, tableName } from '../../src/format/file-names.ts';
import { verifyDatabase } from '../../src/main/verify.ts';
import type { FileSystem } from '../../src/main/file-system.ts';
import { repairDatabase } from '../../src/main/repair.ts';
import { unitsOf } from '../support/checked-units.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { SIMULATED_DIRECTORY, nameOf } from '../support/simulated-environment.ts';
import { simulatedRepairFiles } from '../support/simulated-repair-files.ts';
import { SimulatedFile } from '../support/simulated-file.ts';
import {
  bytesOn,
  contentsOn,
  copyOf,
  fileOn,
  namesOn,
  openOn,
  repairOn,
  smallDatabase,
  verifyOn,
  worldOf,
} from '../support/offline-databases.ts';
import { difference } from '../support/repaired.ts';
import { readSound, visibleIn } from '../support/surviving-model.ts';
import { expectCode } from '../support/errors.ts';

/** Reads of those bytes fail, with that code. */
function failing(fileSystem: FileSystem, name: string, start: number, end: number, code: string): FileSystem {
  return {
    ...fileSystem,
    openFile(path) {
      const file = fileSystem.openFile(path);
      if (nameOf(path) !== name) return file;
      return {
        ...file,
        read(target, offset) {
          if (offset < end && offset + target.length > start)
            throw Object.assign(new Error(`${code}: read`), { code, syscall: 'read' });
          return file.read(target, offset);
        },
      };
    },
  };
}

test.serial('a block that cannot be read is found, and costs what it has', async (t) => {
  const disk = new SimulatedDisk();
  await smallDatabase(disk);
  const { entries } = readSound(disk);
  for (const { file, start, end } of unitsOf(disk).filter(({ kind }) => kind === 'block')) {
    const copy = copyOf(disk);
    const world = worldOf(copy).environment;
    const environment = {
      ...world,
      fileSystem: failing(world.fileSystem, file, start + 1000, start + 1001, 'EIO'),
      files: simulatedRepairFiles(copy),
    };
    const { findings } = await verifyDatabase(environment, SIMULATED_DIRECTORY);
    t.deepEqual(
      findings.map(({ code, file: path, offset }) => ({ code, file: nameOf(path), offset })),
      [{ code: 'IO_ERROR', file, offset: start }],
    );
    await repairDatabase(environment, SIMULATED_DIRECTORY, { hideOlder: 'none' });
    t.deepEqual((await verifyOn(copy)).findings, []);
    const left = entries.filter(
      (entry) => entry.file !== file || entry.offset !== start || entry.end !== undefined,
    );
    t.deepEqual(difference(await contentsOn(copy), visibleIn(left)), [], `${file} ${start} to ${end}`);
  }
});

test.serial('a part of a log, of the manifest, or of a table’s tail that cannot be read', async (t) => {
  const disk = new SimulatedDisk();
  const { contents } = await smallDatabase(disk);
  const units = unitsOf(disk);
  const last = units.filter(({ kind }) => kind === 'frame').at(-1)!;
  const tail = units.find(({ kind }) => kind === 'index')!;
  const edit = units.filter(({ kind }) => kind === 'edit')[1];
  for (const { file, start, kind } of [last, tail, edit]) {
    const copy = copyOf(disk);
    const world = worldOf(copy).environment;
    const environment = {
      ...world,
      fileSystem: failing(world.fileSystem, file, start, start + 1, 'EIO'),
      files: simulatedRepairFiles(copy),
    };
    const { findings } = await verifyDatabase(environment, SIMULATED_DIRECTORY);
    t.true(
      findings.some((finding) => nameOf(finding.file) === file),
      kind,
    );
    const report = await repairDatabase(environment, SIMULATED_DIRECTORY, { hideOlder: 'none' });
    t.deepEqual((await verifyOn(copy)).findings, [], kind);
    const lost = new Set(report.lost.map(({ what }) => what));
    if (kind === 'edit') t.deepEqual(difference(await contentsOn(copy), contents), []);
    else if (kind === 'frame') t.deepEqual([...lost], ['log records']);
    else t.deepEqual(difference(await contentsOn(copy), contents), []);
  }
});

test.serial(
  'the end of a log that cannot be read is not taken for a write that a crash cut short',
  async (t) => {
    const disk = new SimulatedDisk();
    await smallDatabase(disk);
    const database = await openOn(disk);
    for (let i = 0; i < 3; i++) await database.put(`last ${i}`, 'value');
    const crashed = copyOf(disk);
    await database.close();
    const frames = unitsOf(crashed).filter(({ kind }) => kind === 'frame');
    const { file, start, end } = frames[frames.length - 1];
    // The last frame, and the page behind it, which may have been one.
    for (const at of [start, end + 4096]) {
      const copy = copyOf(crashed);
      const world = worldOf(copy).environment;
      const environment = {
        ...world,
        fileSystem: failing(world.fileSystem, file, at, at + 1, 'EIO'),
        files: simulatedRepairFiles(copy),
      };
      const { findings } = await verifyDatabase(environment, SIMULATED_DIRECTORY);
      t.deepEqual(
        findings.map(({ code, file: path, offset }) => ({ code, file: nameOf(path), offset })),
        [{ code: 'IO_ERROR', file, offset: at - (at % 4096) }],
      );
      const report = await repairDatabase(environment, SIMULATED_DIRECTORY);
      t.deepEqual(
        report.lost.map(({ what, file: path, count }) => ({ what, file: nameOf(path), count })),
        [{ what: 'log records', file, count: null }],
      );
      t.deepEqual((await verifyOn(copy)).findings, []);
      const left = await contentsOn(copy);
      t.deepEqual([left.get('last 1'), left.get('last 2')], ['value', at === start ? undefined : 'value']);
    }
  },
);

test.serial('a table that nothing names and that cannot be read is put aside', async (t) => {
  const disk = new SimulatedDisk();
  const { contents } = await smallDatabase(disk);
  const [table] = namesOn(disk, 'table');
  const name = tableName(900);
  disk.names.set(name, fileOn(copyOf(disk), table));
  const world = worldOf(disk).environment;
  const end = bytesOn(disk, name).length;
  const environment = {
    ...world,
    fileSystem: failing(world.fileSystem, name, end - 1, end, 'EIO'),
    files: simulatedRepairFiles(disk),
  };
  const { findings } = await verifyDatabase(environment, SIMULATED_DIRECTORY);
  t.deepEqual(
    findings.map(({ code, file }) => ({ code, file: nameOf(file) })),
    [{ code: 'IO_ERROR', file: name }],
  );
  const report = await repairDatabase(environment, SIMULATED_DIRECTORY);
  t.is(report.findings.length, 1);
  t.true(report.putAside.includes(name) && !disk.names.has(name));
  t.deepEqual(report.lost, []);
  t.deepEqual(difference(await contentsOn(disk), contents), []);
});

test.serial('what a crash left of a new CURRENT is noted, and kept by a repair', async (t) => {
  const disk = new SimulatedDisk();
  const { contents } = await smallDatabase(disk);
  disk.names.set(CURRENT_TEMPORARY_NAME, fileOn(copyOf(disk), 'CURRENT'));
  const { findings, notes } = await verifyOn(disk);
  t.deepEqual(findings, []);
  t.true(notes.some(({ code, file }) => code === 'UNNAMED' && nameOf(file) === CURRENT_TEMPORARY_NAME));
  disk.names.delete('CURRENT');
  const report = await repairOn(disk);
  t.true(report.putAside.includes(CURRENT_TEMPORARY_NAME));
  t.true(disk.names.has(`lost-000001/${CURRENT_TEMPORARY_NAME}`) && !disk.names.has(CURRENT_TEMPORARY_NAME));
  t.deepEqual(difference(await contentsOn(disk), contents), []);
});

test.serial('a file that may not be read is no damage', async (t) => {
  const disk = new SimulatedDisk();
  await smallDatabase(disk);
  const world = worldOf(disk).environment;
  const [{ file }] = unitsOf(disk).filter(({ kind }) => kind === 'block');
  const fileSystem: FileSystem = {
    ...world.fileSystem,
    openFile(path) {
      if (nameOf(path) !== file) return world.fileSystem.openFile(path);
      throw Object.assign(new Error('EACCES: open'), { code: 'EACCES', syscall: 'open' });
    },
  };
  const environment = { ...world, fileSystem, files: simulatedRepairFiles(disk) };
  const before = [...disk.names.keys()];
  await expectCode(t, 'READ_ONLY', () => repairDatabase(environment, SIMULATED_DIRECTORY));
  t.deepEqual([...disk.names.keys()], before);
  const { findings } = await verifyDatabase(environment, SIMULATED_DIRECTORY);
  t.deepEqual(
    findings.map(({ code }) => code),
    ['IO_ERROR'],
  );
});

test.serial('a lock that may not be taken is not passed over, unless nobody can write', async (t) => {
  const disk = new SimulatedDisk();
  await smallDatabase(disk);
  disk.names.set('LOCK', new SimulatedFile());
  const { fileSystem, ...rest } = worldOf(disk).environment;
  const refusing = (code: string): typeof rest & { fileSystem: FileSystem } => ({
    ...rest,
    fileSystem: {
      ...fileSystem,
      lock() {
        throw Object.assign(new Error(`${code}: open`), { code, syscall: 'open' });
      },
    },
  });
  await expectCode(t, 'READ_ONLY', () => verifyDatabase(refusing('EACCES'), SIMULATED_DIRECTORY));
  const report = await verifyDatabase(refusing('EROFS'), SIMULATED_DIRECTORY);
  t.deepEqual([report.isSound, report.wasLocked], [true, false]);
});

test.serial('a disk that is full ends a repair, which goes on when there is space', async (t) => {
  const disk = new SimulatedDisk();
  const { contents } = await smallDatabase(disk);
  disk.names.delete('CURRENT');
  const environment = worldOf(disk).environment;
  const files = simulatedRepairFiles(disk);
  const full = {
    ...files,
    create(path: string) {
      const file = files.create(path);
      return {
        ...file,
        write() {
          throw Object.assign(new Error('ENOSPC: write'), { code: 'ENOSPC', syscall: 'write' });
        },
      };
    },
  };
  await expectCode(t, 'NO_SPACE', () => repairDatabase({ ...environment, files: full }, SIMULATED_DIRECTORY));
  await repairDatabase({ ...environment, files }, SIMULATED_DIRECTORY);
  t.deepEqual((await verifyOn(disk)).findings, []);
  t.deepEqual(difference(await contentsOn(disk), contents), []);
});
