/**
 * What the decoders of this room throw. Pure; any thread.
 *
 * A decoder sees bytes, not files: it says what is wrong and where in the bytes. Whoever knows the file's name and
 * role turns it into a `QuadringError` (`LOG_CORRUPT`, `MANIFEST_CORRUPT`, `TABLE_CORRUPT`, `CURRENT_CORRUPT`) with this
 * error as its cause.
 */

/** The bytes are not what the format says they should be. */
export class FormatError extends RangeError {
  override readonly name: string = 'FormatError';
  /** Index of the byte, in the array that was decoded, at which decoding could not go on. */
  readonly at: number;

  constructor(message: string, at: number) {
    super(`${message} (at byte ${at})`);
    this.at = at;
  }
}

/** The bytes are whole (their checksum holds), but of a format version that this release does not know. */
export class UnknownVersionError extends FormatError {
  override readonly name: string = 'UnknownVersionError';
  readonly version: number;

  constructor(what: string, version: number, at: number) {
    super(`${what} has format version ${version}, which this release does not know`, at);
    this.version = version;
  }
}
