import test from 'ava';
import fc from 'fast-check';
import { checksum } from '../../src/format/checksum.ts';
import { decodeCurrent, encodeCurrent } from '../../src/format/current.ts';
import { FormatError, UnknownVersionError } from '../../src/format/format-error.ts';
import { bytesOf } from './tables.ts';

function line(text: string): Uint8Array {
  const bytes = bytesOf(text);
  return bytesOf(`${text} ${checksum(bytes, 0, bytes.length, 0).toString(16).padStart(8, '0')}\n`);
}

test('CURRENT names a manifest in one line of text', (t) => {
  t.regex(Buffer.from(encodeCurrent(7)).toString(), /^quadring 2 MANIFEST-000007 [0-9a-f]{8}\n$/);
  fc.assert(fc.property(fc.nat(2 ** 32 - 1), (number) => t.is(decodeCurrent(encodeCurrent(number)), number)));
});

test('every flipped bit and every cut is found', (t) => {
  const bytes = encodeCurrent(123_456);
  for (let at = 0; at < bytes.length; at++) {
    t.throws(() => decodeCurrent(bytes.subarray(0, at)), { instanceOf: FormatError }, `cut at ${at}`);
    for (let bit = 0; bit < 8; bit++) {
      bytes[at] ^= 1 << bit;
      const error = t.throws(
        () => decodeCurrent(bytes),
        { instanceOf: FormatError },
        `byte ${at}, bit ${bit}`,
      );
      t.false(error instanceof UnknownVersionError);
      bytes[at] ^= 1 << bit;
    }
  }
});

test('another version is told apart from damage', (t) => {
  for (const version of [1, 3]) {
    const error = t.throws(() => decodeCurrent(line(`quadring ${version} whatever comes then`)), {
      instanceOf: UnknownVersionError,
    });
    t.is(error?.version, version);
  }
});

test('a whole line that names no manifest is refused', (t) => {
  for (const name of ['000007.sst', 'MANIFEST-7', '', '../MANIFEST-000001', 'CURRENT']) {
    const error = t.throws(
      () => decodeCurrent(line(`quadring 2 ${name}`)),
      { instanceOf: FormatError },
      name,
    );
    t.false(error instanceof UnknownVersionError);
  }
  t.throws(() => decodeCurrent(new Uint8Array(5000)), { instanceOf: FormatError });
});
