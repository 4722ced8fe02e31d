/** The number that logs are seeded with, found out from their frames. */
import test from 'ava';
import { FRAME_FULL, sealFrame, writeFrameHeader } from '../../src/format/frame.ts';
import { Breather } from '../../src/main/breather.ts';
import { SaltVotes } from '../../src/main/log-salt.ts';
import { PieceReader } from '../../src/main/piece-reader.ts';
import { Random, testSeed } from '../support/random.ts';

const FILE = 12;

function logOf(salt: number, lengths: readonly number[], random: Random): Uint8Array {
  const bytes = new Uint8Array(lengths.length * 8192);
  let at = 0;
  for (const payloadLength of lengths) {
    writeFrameHeader(bytes, at, {
      kind: FRAME_FULL,
      fileNumber: FILE,
      firstSequence: 1,
      count: 1,
      payloadLength,
    });
    for (let i = 0; i < payloadLength; i++) bytes[at + 32 + i] = random.bits();
    at += sealFrame(bytes, at, salt, at);
  }
  return bytes;
}

async function winnerOf(...logs: Uint8Array[]): Promise<number | undefined> {
  const votes = new SaltVotes();
  for (const bytes of logs) {
    const reader = new PieceReader({
      bytes: bytes.length,
      read(target, offset) {
        const part = bytes.subarray(offset, offset + target.length);
        target.set(part);
        return part.length;
      },
      close: () => undefined,
    });
    await votes.add(reader, new Breather());
  }
  return votes.winner;
}

test('frames of any length agree on the number that they were sealed with', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  for (const salt of [0, 1, 0x8000_0000, 0xffff_ffff, random.bits(), random.bits()]) {
    const lengths = [1, 5, random.between(1, 4000), random.between(4065, 8000)];
    t.is(await winnerOf(logOf(salt, lengths, random)), salt);
  }
});

test('frames that were changed are outvoted by two that were not', async (t) => {
  const random = new Random(3);
  const bytes = logOf(0xdead_beef, [10, 10, 10, 10, 10, 10], random);
  for (const frame of [0, 1, 3, 5]) bytes[frame * 4096 + 35] ^= 1 + frame;
  t.is(await winnerOf(bytes), 0xdead_beef);
});

test('one frame is no proof, wherever the other one is', async (t) => {
  const random = new Random(4);
  const one = logOf(77, [100], random);
  t.is(await winnerOf(one), undefined);
  t.is(await winnerOf(new Uint8Array(65_536)), undefined);
  t.is(await winnerOf(one, logOf(77, [200], random)), 77);
});
