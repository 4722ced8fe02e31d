/** What a directory lies on, told from made-up copies of /proc and /sys, and what this machine says of its own. */
import { mkdirSync, realpathSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { describeStorage, type SystemFiles } from '../../src/main/block-device.ts';
import { mountOf } from '../../src/main/mounts.ts';
import { temporaryDirectory } from '../support/directories.ts';

const DEVICES = `Character devices:
  1 mem
  8 not a disk

Block devices:
  7 loop
  8 sd
  9 md
252 device-mapper
254 virtblk
259 blkext
`;

/** A machine in a folder: devices are folders below sys/devices, as the kernel has them. */
class Machine {
  readonly root: string;
  readonly files: SystemFiles;
  readonly #mounts: string[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(t: ExecutionContext) {
    this.root = realpathSync(temporaryDirectory(t));
    const sys = join(this.root, 'sys');
    for (const folder of ['dev/block', 'class/block', 'devices']) {
      mkdirSync(join(sys, folder), { recursive: true });
    }
    const deviceOf = (path: string): number => {
      for (let at = path; ; at = dirname(at)) {
        const number = this.#numbers.get(at);
        if (number !== undefined) return number;
        if (at === dirname(at)) throw new Error(`${path} lies on nothing`);
      }
    };
    const mountinfo = join(this.root, 'mountinfo');
    writeFileSync(mountinfo, '');
    writeFileSync(join(this.root, 'devices'), DEVICES);
    this.files = { sys, mountinfo, devices: join(this.root, 'devices'), deviceOf };
  }

  /** `name` may be `sda/sda1`, a partition. */
  device(name: string, number: string, queue: Record<string, string> = {}): void {
    const folder = join(this.files.sys, 'devices', name);
    mkdirSync(join(folder, 'queue'), { recursive: true });
    writeFileSync(join(folder, 'dev'), `${number}\n`);
    for (const [file, text] of Object.entries(queue)) writeFileSync(join(folder, 'queue', file), `${text}\n`);
    symlinkSync(folder, join(this.files.sys, 'dev/block', number));
    symlinkSync(folder, join(this.files.sys, 'class/block', name.split('/').pop() ?? name));
  }

  partition(name: string, number: string): void {
    this.device(name, number);
    writeFileSync(join(this.files.sys, 'devices', name, 'partition'), '1\n');
  }

  /** `above` consists of `below`. */
  stack(above: string, below: string): void {
    const folder = join(this.files.sys, 'devices', above, 'slaves');
    mkdirSync(folder, { recursive: true });
    symlinkSync(join(this.files.sys, 'devices', below), join(folder, below.split('/').pop() ?? below));
  }

  loopFile(name: string, file: string): void {
    const folder = join(this.files.sys, 'devices', name, 'loop');
    mkdirSync(folder);
    writeFileSync(join(folder, 'backing_file'), `${file}\n`);
  }

  /** Returns the folder that it is mounted at. */
  mount(place: string, fileSystem: string, device: number, source = 'none', options = 'rw'): string {
    const path = join(this.root, place);
    mkdirSync(path, { recursive: true });
    const escaped = path.replaceAll(' ', '\\040');
    const line = `36 35 0:1 / ${escaped} rw,noatime shared:1 master:2 - ${fileSystem} ${source} ${options}`;
    this.#mounts.push(line);
    this.#numbers.set(path, device);
    writeFileSync(this.files.mountinfo, `${this.#mounts.join('\n')}\n`);
    return path;
  }
}

/** As Linux packs a device's number, for majors below 4096 and minors below 256. */
const numberOf = (major: number, minor: number): number => major * 256 + minor;

test('a partition of an NVMe disk: what is known of the disk', (t) => {
  const machine = new Machine(t);
  machine.device('nvme0n1', '259:0', {
    io_poll: '1',
    write_cache: 'write back',
    fua: '1',
    rotational: '0',
    logical_block_size: '512',
    physical_block_size: '4096',
    scheduler: '[none] mq-deadline',
    max_sectors_kb: '1280',
    max_segments: '127',
    chunk_sectors: '256',
  });
  machine.partition('nvme0n1/nvme0n1p2', '259:2');
  const place = machine.mount('data', 'ext4', numberOf(259, 2), '/dev/nvme0n1p2');
  const storage = describeStorage(place, machine.files);
  const disk = {
    name: 'nvme0n1',
    major: 259,
    minor: 0,
    kind: 'nvme' as const,
    polls: true,
    hasVolatileCache: true,
    writesThrough: true,
    isRotational: false,
    logicalBlockBytes: 512,
    physicalBlockBytes: 4096,
    requestBytesMax: 127 * 4096,
    splitsAtBytes: 128 * 1024,
    scheduler: 'none',
  };
  t.deepEqual(storage, {
    directory: place,
    fileSystem: 'ext4',
    layers: [disk],
    disks: [disk],
    gap: undefined,
  });
});

test('through device-mapper and md, each disk once, however it is reached', (t) => {
  const machine = new Machine(t);
  machine.device('dm-1', '252:1', { io_poll: '0' });
  machine.device('md0', '9:0');
  machine.device('sda', '8:0', { write_cache: 'write through', scheduler: 'none [mq-deadline] bfq' });
  machine.device('sdb', '8:16');
  machine.partition('sda/sda1', '8:1');
  machine.partition('sda/sda2', '8:2');
  machine.stack('dm-1', 'md0');
  machine.stack('dm-1', 'sda/sda2');
  machine.stack('md0', 'sda/sda1');
  machine.stack('md0', 'sdb');
  const place = machine.mount('data', 'xfs', numberOf(252, 1), '/dev/mapper/data');
  const { layers, disks, gap } = describeStorage(place, machine.files);
  t.deepEqual(
    layers.map(({ name, kind }) => `${name} ${kind}`),
    ['dm-1 device-mapper', 'md0 md', 'sda scsi', 'sdb scsi'],
  );
  t.deepEqual(
    disks.map(({ name, hasVolatileCache, scheduler }) => ({ name, hasVolatileCache, scheduler })),
    [
      { name: 'sda', hasVolatileCache: false, scheduler: 'mq-deadline' },
      { name: 'sdb', hasVolatileCache: undefined, scheduler: undefined },
    ],
  );
  t.is(gap, undefined);
});

test('through a loop device to the disk of the file behind it, and through an overlay to where it writes', (t) => {
  const machine = new Machine(t);
  machine.device('vda', '254:0');
  machine.device('loop3', '7:3');
  const host = machine.mount('host', 'ext4', numberOf(254, 0), '/dev/vda');
  writeFileSync(join(host, 'image'), '');
  machine.loopFile('loop3', join(host, 'image'));
  const image = machine.mount('image', 'xfs', numberOf(7, 3), '/dev/loop3');
  mkdirSync(join(image, 'upper'));
  const place = machine.mount(
    'merged',
    'overlay',
    numberOf(0, 50),
    'overlay',
    `rw,lowerdir=/lower,upperdir=${join(image, 'upper')},workdir=/work`,
  );
  const storage = describeStorage(place, machine.files);
  t.is(storage.fileSystem, 'overlay');
  t.deepEqual(
    storage.layers.map(({ name, kind }) => `${name} ${kind}`),
    ['loop3 loop', 'vda virtio'],
  );
  t.deepEqual(
    storage.disks.map(({ name }) => name),
    ['vda'],
  );
});

test('what cannot be followed is said, and is no error', (t) => {
  const machine = new Machine(t);
  machine.device('sda', '8:0');
  const gapOf = (place: string): string | undefined => describeStorage(place, machine.files).gap;
  t.regex(gapOf(machine.root) ?? '', /^no mount of .* is known$/);
  t.is(gapOf(machine.mount('memory', 'tmpfs', numberOf(0, 30), 'tmpfs')), 'tmpfs names no block device');
  t.is(
    gapOf(machine.mount('network', 'nfs4', numberOf(0, 31), 'server:/share')),
    'nfs4 names no block device',
  );
  t.is(
    gapOf(machine.mount('unknown', 'ext4', numberOf(8, 99), '/dev/sdz')),
    '/sys knows nothing of the device 8:99',
  );
  t.is(
    gapOf(machine.mount('hidden', 'overlay', numberOf(0, 32), 'overlay', 'rw,upperdir=/of/the/host')),
    'the directory that the overlay writes to is not visible from here',
  );
  t.is(
    gapOf(machine.mount('lower', 'overlay', numberOf(0, 33), 'overlay', 'ro,lowerdir=/a:/b')),
    'the overlay has no directory that it writes to',
  );
  machine.device('loop0', '7:0');
  machine.loopFile('loop0', '/removed/image (deleted)');
  t.is(
    gapOf(machine.mount('loop', 'ext4', numberOf(7, 0), '/dev/loop0')),
    'the file behind loop0 is not visible from here',
  );
});

test('devices that consist of each other end the search', (t) => {
  const machine = new Machine(t);
  machine.device('dm-0', '252:0');
  machine.device('dm-1', '252:1');
  machine.stack('dm-0', 'dm-1');
  machine.stack('dm-1', 'dm-0');
  const place = machine.mount('data', 'ext4', numberOf(252, 0));
  const { layers, disks } = describeStorage(place, machine.files);
  t.is(layers.length, 2);
  t.is(disks.length, 0);
});

test('a path lies under the mount with the longest name, the last one of those at one place', (t) => {
  const lines = [
    '1 0 8:0 / / rw - ext4 /dev/sda rw',
    '2 1 8:1 / /srv rw - xfs /dev/sda1 rw',
    '3 1 8:2 / /srv rw shared:3 - btrfs /dev/sda2 rw,subvol=/a',
    '4 1 8:3 / /srv\\040two/x rw - ext3 /dev/sda3 rw',
    'not a line of it',
  ].join('\n');
  const typeOf = (path: string): string | undefined => mountOf(lines, path)?.fileSystem;
  t.is(typeOf('/'), 'ext4');
  t.is(typeOf('/srv'), 'btrfs');
  t.is(typeOf('/srv/deep/below'), 'btrfs');
  t.is(typeOf('/srv two'), 'ext4');
  t.is(typeOf('/srv two/x/y'), 'ext3');
  t.is(typeOf('/srvother'), 'ext4');
  t.is(mountOf(lines, '/srv')?.options.get('subvol'), '/a');
  t.is(mountOf('', '/'), undefined);
});

test('this machine’s own: the numbers are those that stat says', (t) => {
  const directory = temporaryDirectory(t);
  const { fileSystem, layers, gap } = describeStorage(directory);
  t.is(typeof fileSystem, 'string');
  t.log(layers.map(({ name, kind }) => `${name} ${kind}`).join(', '));
  if (layers.length === 0) t.is(typeof gap, 'string');
  else t.is(layers[0].major, (statSync(directory).dev >> 8) & 0xfff);
  t.throws(() => describeStorage(join(directory, 'missing')), { code: 'ENOENT' });
});
