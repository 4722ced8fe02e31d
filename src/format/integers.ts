/**
 * Little-endian integers at any byte. Pure; any thread.
 *
 * Plain byte accesses: `Buffer.readUInt32LE` and `DataView` cost a call where these are inlined.
 */

export function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

export function readU48(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) + readU16(bytes, at + 4) * 0x1_0000_0000;
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function writeU48(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, value >>> 0);
  writeU16(bytes, at + 4, Math.floor(value / 0x1_0000_0000));
}
