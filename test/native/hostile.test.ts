/** Where io_uring is refused or poor: seccomp, little lockable memory, an older kernel. And lives of whole processes. */
import { constants as os } from 'node:os';
import test from 'ava';
import { childAnswer, runChild } from './ring-fixture.ts';

const { EPERM, ENOSYS, ENOMEM, EMFILE } = os.errno;

interface Refusal {
  code: string;
  errno: number;
  syscall: string;
  message: string;
  isError: boolean;
}

const TRY_RING = `
  try { new Fixture('Ring'); console.log('null'); } catch (error) {
    const { code, errno, syscall, message } = error;
    console.log(JSON.stringify({ code, errno, syscall, message, isError: error instanceof Error }));
  }`;

const refusals: [string, number, RegExp][] = [
  ['EPERM', EPERM, /seccomp|io_uring_disabled/],
  ['ENOSYS', ENOSYS, /5\.11/],
  ['ENOMEM', ENOMEM, /ulimit -l/],
  ['EMFILE', EMFILE, /ulimit -n/],
];
for (const [code, errno, hint] of refusals) {
  test(`a ring refused with ${code} says what to do`, (t) => {
    const error = childAnswer(t, TRY_RING, { hostile: ['--errno', String(errno)] }) as Refusal;
    t.is(error.code, code);
    t.is(error.errno, errno);
    t.is(error.syscall, 'io_uring_setup');
    t.true(error.isError);
    t.regex(error.message, hint);
  });
}

test('system calls work where io_uring is refused', (t) => {
  t.deepEqual(
    childAnswer(
      t,
      `
    const fixture = new Fixture('SystemCalls');
    console.log(JSON.stringify(fixture.run({ opcode: ring.OPCODE_NOP }, { opcode: ring.OPCODE_FSYNC, file: 1000 })));
    fixture.close();`,
      { hostile: [] },
    ),
    [0, -os.errno.EBADF],
  );
});

/** Writes a pattern from registered memory to a file and reads it back, to both halves of the region. */
const USE_FIXED = `
  import { openSync, unlinkSync, constants } from 'node:fs';
  import { tmpdir } from 'node:os';
  function use(fixture) {
    const path = tmpdir() + '/quadring-hostile-' + process.pid;
    const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_DIRECT, 0o600);
    unlinkSync(path);
    const { memory } = fixture;
    for (let i = 0; i < 65536; i++) memory[i] = (i * 7) & 0xff;
    const results = fixture.run({ opcode: ring.OPCODE_WRITE, file, length: 65536 });
    for (const bufferOffset of [MIB, 3 * MIB]) {
      results.push(...fixture.run({ opcode: ring.OPCODE_READ, file, bufferOffset, length: 65536 }));
      results.push(Buffer.compare(memory.subarray(0, 65536), memory.subarray(bufferOffset, bufferOffset + 65536)));
    }
    return results;
  }`;
const USED = [65536, 65536, 0, 65536, 0];

test('memory that may not be locked stays unregistered, works, and says why', (t) => {
  const answer = childAnswer(
    t,
    `${USE_FIXED}
    const fixture = new Fixture('Ring', { fixedLength: 4 * MIB });
    console.log(JSON.stringify({ used: use(fixture), ...fixture.ring.describe() }));
    fixture.close();`,
    { hostile: ['--memlock', '2500'] },
  ) as {
    used: number[];
    registeredBytes: number;
    registrationRefusal: string;
  };
  t.deepEqual(answer.used, USED);
  t.true(answer.registeredBytes < 4 << 20);
  t.regex(answer.registrationRefusal, /ENOMEM.*2500 KiB.*ulimit -l/);
});

/** Attaches memory of which as much as the limit allows is registered already. */
const ATTACH = `
  const fixture = new Fixture('Ring');
  const said = () => {
    const { registeredBytes, registrationRefusal } = fixture.ring.describe();
    return [registeredBytes / MIB, registrationRefusal?.split(':')[0] ?? null];
  };
  const attach = (region, mebibytes) => {
    fixture.ring.attach(region, sharedMemory(4 * MIB), 0, mebibytes * MIB, 0);
    return said();
  };`;

test('memory that takes the place of other memory may be locked where that was, at once', (t) => {
  const answer = childAnswer(
    t,
    `${ATTACH}
    const again = [attach(1, 4), attach(1, 4), attach(1, 4), attach(1, 0), attach(2, 4), attach(2, 2), attach(3, 2)];
    console.log(JSON.stringify(again));
    fixture.close();`,
    { hostile: ['--memlock', '4500'] },
  );
  const four = [4, null];
  t.deepEqual(answer, [four, four, four, [0, null], four, [2, null], four]);
});

test('what is said of registered memory is true of all regions', (t) => {
  const answer = childAnswer(
    t,
    `${ATTACH}
    console.log(JSON.stringify([attach(1, 3), attach(2, 2), attach(3, 0), attach(1, 2), attach(2, 2)]));
    fixture.close();`,
    { hostile: ['--memlock', '4500'] },
  );
  const missing = [4, '1 MiB not registered'];
  t.deepEqual(answer, [[3, null], missing, missing, [3, missing[1]], [4, null]]);
});

test('a limit on locked memory that was lowered costs what is above it once something takes another’s place', (t) => {
  const answer = childAnswer(
    t,
    `${ATTACH}
    import { execFileSync } from 'node:child_process';
    const all = [attach(1, 3), attach(2, 1)];
    execFileSync('prlimit', ['--pid', String(process.pid), '--memlock=2560000:2560000']);
    console.log(JSON.stringify([...all, attach(2, 1), attach(1, 2)]));
    fixture.close();`,
    { hostile: ['--memlock', '4500'] },
  );
  t.deepEqual(answer, [
    [3, null],
    [4, null],
    [2, '2 MiB not registered'],
    [2, '1 MiB not registered'],
  ]);
});

const IORING_REGISTER_BUFFERS2 = '15';
const IORING_REGISTER_RING_FDS = '20';

test('without a sparse table all buffers are registered at once', (t) => {
  const answer = childAnswer(
    t,
    `${USE_FIXED}
    const fixture = new Fixture('Ring', { fixedLength: 4 * MIB });
    const registered = () => fixture.ring.describe().registeredBytes / MIB;
    const used = [use(fixture)];
    const sizes = [registered()];
    fixture.turn(1000);
    fixture.ring.attach(3, sharedMemory(2 * MIB), 0, 2 * MIB, 0);
    sizes.push(registered());
    used.push(use(fixture));
    fixture.ring.attach(0, fixture.memory, MIB, MIB, 0);
    sizes.push(registered());
    used.push(use(fixture));
    fixture.ring.attach(3, fixture.memory, 0, 0, 0);
    sizes.push(registered());
    used.push(use(fixture));
    fixture.ring.attach(0, fixture.memory, 0, 0, 0);
    sizes.push(registered());
    console.log(JSON.stringify({ used, sizes, refusal: fixture.ring.describe().registrationRefusal }));
    fixture.close();`,
    { hostile: ['--register', IORING_REGISTER_BUFFERS2] },
  );
  t.deepEqual(answer, { used: [USED, USED, USED, USED], sizes: [4, 6, 3, 1, 0], refusal: null });
});

test('a kernel that registers no ring descriptor is served without', (t) => {
  const answer = childAnswer(
    t,
    `
    const fixture = new Fixture('Ring');
    const results = fixture.run({ opcode: ring.OPCODE_NOP });
    const waited = fixture.turn(1000);
    console.log(JSON.stringify({ results, waited, flags: fixture.ring.describe().flags }));
    fixture.close();`,
    { hostile: ['--register', IORING_REGISTER_RING_FDS] },
  ) as {
    results: number[];
    waited: unknown[];
    flags: string[];
  };
  t.deepEqual(answer.results, [0]);
  t.deepEqual(answer.waited, []);
  t.false(answer.flags.includes('REGISTERED_RING_FD'));
});

const enterErrors: [string, RegExp][] = [
  ['EAGAIN', /memory/],
  ['EINTR', /signals/],
  ['EBUSY', /completions/],
  ['EBADR', /dropped/],
  ['EEXIST', /another thread/],
  ['EBADF', /descriptor/],
  ['EFAULT', /address/],
  ['EINVAL', /entered/],
  ['ENXIO', /torn down/],
];
for (const [code, hint] of enterErrors) {
  const errno = (os.errno as Record<string, number>)[code] ?? { EBADR: 53, ENXIO: 6 }[code]!;
  test(`a kernel that answers every entry with ${code} makes a turn throw, and the ring closes`, (t) => {
    const answer = childAnswer(
      t,
      `
      const fixture = new Fixture('Ring');
      const errors = [];
      const attempt = (body) => {
        try { body(); errors.push(null); } catch ({ code, errno, syscall, message }) { errors.push({ code, errno, syscall, message }); }
      };
      fixture.add({ opcode: ring.OPCODE_NOP });
      attempt(() => fixture.turn());
      attempt(() => fixture.turn(1000));
      attempt(() => fixture.ring.attach(1, fixture.memory, 0, 0, 0));
      attempt(() => fixture.close());
      console.log(JSON.stringify(errors));`,
      { hostile: ['--enter', '--errno', String(errno)] },
    ) as (Refusal | null)[];
    const [first, second, attach, close] = answer;
    t.is(first!.code, code);
    t.is(first!.errno, errno);
    t.is(first!.syscall, 'io_uring_enter');
    t.regex(first!.message, hint);
    t.deepEqual(second, first, 'the error stays');
    t.deepEqual(attach, first);
    t.is(close, null, 'nothing is in flight');
  });
}

test('a ring that is forgotten is collected with all it holds', (t) => {
  const answer = childAnswer(
    t,
    `
    import { readdirSync } from 'node:fs';
    const descriptors = () => readdirSync('/proc/self/fd').map(Number).length;
    const make = () => { const fixture = new Fixture('Ring'); fixture.turn(1); native.closeDescriptor(fixture.eventfd); };
    make();
    const before = descriptors();
    for (let round = 0; round < 30; round++) make();
    let after = Infinity;
    for (let tries = 0; after > before && tries < 100; tries++) {
      globalThis.gc();
      await new Promise(setImmediate);
      after = descriptors();
    }
    console.log(JSON.stringify(after <= before));`,
    { nodeArguments: ['--expose-gc'] },
  );
  t.true(answer);
});

test('turn stays good when only the function is kept', (t) => {
  const answer = childAnswer(
    t,
    `
    const turns = Array.from({ length: 20 }, () => { const fixture = new Fixture('Ring'); fixture.turn(1); return fixture.ring.turn; });
    for (let i = 0; i < 5; i++) { globalThis.gc(); await new Promise(setImmediate); }
    console.log(JSON.stringify(turns.map((turn) => turn(8, 0))));`,
    { nodeArguments: ['--expose-gc'] },
  );
  t.deepEqual(answer, new Array<number>(20).fill(8));
});

test('a process may exit with reads in flight', (t) => {
  for (const end of ['process.exit(0)', 'await null', 'setImmediate(() => process.exit(0))']) {
    const result = runChild(`
      import { openSync, constants } from 'node:fs';
      const fixture = new Fixture('Ring');
      const file = openSync(process.execPath, constants.O_RDONLY | constants.O_DIRECT);
      for (let i = 0; i < 8; i++) fixture.add({ opcode: ring.OPCODE_READ, file, bufferOffset: i * MIB / 2, length: MIB / 2, offset: i * MIB });
      fixture.turn();
      ${end};`);
    t.is(result.status, 0, result.stderr);
  }
});
