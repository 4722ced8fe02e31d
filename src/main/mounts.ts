/**
 * Lines of /proc/self/mountinfo, and which of them a path lies under. Pure.
 *
 *     36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda1 rw,errors=continue
 *                      │    │          └ any number of fields  │    │         └ options of the file system
 *                      │    └ options of the mount             │    └ source
 *                      └ where it is mounted                   └ type
 *
 * Blanks within a field are written in octal, as \040 (proc_pid_mountinfo(5)).
 */

export interface Mount {
  readonly place: string;
  readonly fileSystem: string;
  readonly source: string;
  /** Of the file system; those without a value have an empty one. */
  readonly options: ReadonlyMap<string, string>;
}

/** The mount that a path without links lies under; undefined where no line says. */
export function mountOf(mountinfo: string, path: string): Mount | undefined {
  let found: Mount | undefined;
  for (const line of mountinfo.split('\n')) {
    const mount = parseMount(line);
    if (mount === undefined || !isWithin(path, mount.place)) continue;
    // Of two at one place the later one covers the earlier one.
    if (found === undefined || mount.place.length >= found.place.length) found = mount;
  }
  return found;
}

function parseMount(line: string): Mount | undefined {
  const [before, after] = line.split(' - ', 2);
  const place = before?.split(' ')[4];
  const [fileSystem, source, options] = after?.split(' ') ?? [];
  if (place === undefined || fileSystem === undefined || source === undefined) return undefined;
  return {
    place: unescape(place),
    fileSystem: unescape(fileSystem),
    source: unescape(source),
    options: optionsOf(options ?? ''),
  };
}

function optionsOf(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const option of text.split(',')) {
    const at = option.indexOf('=');
    if (at < 0) options.set(option, '');
    else options.set(option.slice(0, at), unescape(option.slice(at + 1)));
  }
  return options;
}

function isWithin(path: string, place: string): boolean {
  return path === place || path.startsWith(place.endsWith('/') ? place : `${place}/`);
}

function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
