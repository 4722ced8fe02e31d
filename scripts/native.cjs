'use strict';
/**
 * Makes the addon usable: a prebuild when one fits, else a compile, else one clear sentence. Runs as the package's
 * install script, from scripts/bootstrap.mjs, and by hand. Node's own modules only; nothing is downloaded.
 *
 *     node scripts/native.cjs             build if there is no build, or if a source is newer than it
 *     node scripts/native.cjs --rebuild   build in any case, from nothing
 *     node scripts/native.cjs --missing   what the system lacks to build it, as JSON
 *     node scripts/native.cjs --prebuild  compile what a package carries for machines like this one, into prebuilds/
 *     node scripts/native.cjs --libraries what to link liburing and LZ4 by (binding.gyp asks this)
 */
const { spawnSync } = require('node:child_process');
const {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  utimesSync,
  writeFileSync,
} = require('node:fs');
const { dirname, join, resolve } = require('node:path');

const root = resolve(__dirname, '..');
const built = join(root, 'build/Release/quadring.node');
/** CXX may hold more than a name, e.g. `ccache g++`. */
const [compiler, ...compilerArguments] = (process.env.CXX || 'g++').trim().split(/\s+/);
/** The oldest liburing that has what native/ uses. */
const liburingFloor = '2.3';

/** What native/ is linked with, and a function of each that its headers must have. */
const libraries = [
  { name: 'uring', header: 'liburing.h', used: 'io_uring_get_events' },
  { name: 'lz4', header: 'lz4.h', used: 'LZ4_compress_fast_extState' },
];

/**
 * By what /etc/os-release says: how to install, and what the compiler, make, Python, liburing and LZ4 are called (on
 * Alpine LZ4's archive is in a package of its own).
 */
const distributions = [
  {
    match: /debian|ubuntu/,
    install: 'apt-get install -y',
    names: ['g++', 'make', 'python3', 'liburing-dev', 'liblz4-dev'],
  },
  {
    match: /fedora|rhel|centos/,
    install: 'dnf install -y',
    names: ['gcc-c++', 'make', 'python3', 'liburing-devel', 'lz4-devel'],
  },
  { match: /arch/, install: 'pacman -S --needed', names: ['gcc', 'make', 'python', 'liburing', 'lz4'] },
  {
    match: /alpine/,
    install: 'apk add',
    names: ['g++', 'make', 'python3', 'liburing-dev', 'lz4-dev lz4-static'],
    always: ['linux-headers'],
  },
  {
    match: /suse/,
    install: 'zypper install -y',
    names: ['gcc-c++', 'make', 'python3', 'liburing-devel', 'liblz4-devel'],
  },
];

function distribution() {
  let text = '';
  try {
    text = readFileSync('/etc/os-release', 'utf8');
  } catch {
    // No such file: the first entry is as good a guess as any.
  }
  const ids = [...text.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].map((found) => found[1]).join(' ');
  return distributions.find((candidate) => candidate.match.test(ids)) ?? distributions[0];
}

function hasCommand(name) {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { stdio: 'ignore' }).status === 0;
}

function hasLibrary({ header, used }) {
  const probe = `#include <${header}>\nauto probe = &${used};\n`;
  const options = { input: probe, stdio: ['pipe', 'ignore', 'ignore'] };
  return spawnSync(compiler, [...compilerArguments, '-fsyntax-only', '-x', 'c++', '-'], options).status === 0;
}

/** What the system lacks to compile the addon: `{ install: 'apt-get install -y', packages: ['g++', …] }`. */
function missing() {
  const { install, names, always = [] } = distribution();
  const [compilerName, makeName, pythonName, ...libraryNames] = names;
  const packages = [];
  const canCompile = hasCommand(compiler);
  if (!canCompile) packages.push(compilerName);
  if (!hasCommand('make')) packages.push(makeName);
  if (!hasCommand('python3')) packages.push(pythonName);
  const lacking = libraryNames.filter((_, i) => !canCompile || !hasLibrary(libraries[i]));
  if (lacking.length > 0) packages.push(...lacking.flatMap((name) => name.split(' ')), ...always);
  return { install, packages };
}

/** The archive where the system has one (the addon then carries the library with it), else the shared library. */
function linked({ name }) {
  const found = spawnSync(compiler, [...compilerArguments, `-print-file-name=lib${name}.a`], {
    encoding: 'utf8',
  });
  const path = found.status === 0 ? found.stdout.trim() : '';
  return path.startsWith('/') ? path : `-l${name}`;
}

/** Whether the addon that is there is one for this machine and C library. */
function loadsHere() {
  try {
    require('node-gyp-build')(root);
    return true;
  } catch {
    return false;
  }
}

/** The same of one that was just compiled: this process may hold an older one. */
function loadsAfresh() {
  const script = 'require("node-gyp-build")(process.argv[1])';
  return spawnSync(process.execPath, ['-e', script, root], { cwd: root, stdio: 'ignore' }).status === 0;
}

function newestSource() {
  const sources = ['binding.gyp', ...readdirSync(join(root, 'native')).map((name) => join('native', name))];
  return Math.max(...sources.map((name) => statSync(join(root, name)).mtimeMs));
}

/** Whether there is a build, and no source is newer than it. */
function isUpToDate() {
  return existsSync(built) && newestSource() <= statSync(built).mtimeMs;
}

function headersDirectory() {
  const hasHeaders = (directory) =>
    existsSync(join(directory, 'include/node/node_api.h')) &&
    existsSync(join(directory, 'include/node/common.gypi'));
  const asked = process.env.npm_config_nodedir;
  if (asked && hasHeaders(asked)) return asked;
  const prefix = resolve(dirname(process.execPath), '..');
  if (hasHeaders(prefix)) return prefix;
  return copiedHeaders();
}

/** Headers from the npm package node-api-headers, laid out as node-gyp wants them; null if it is not installed. */
function copiedHeaders() {
  let source;
  try {
    source = require(require.resolve('node-api-headers', { paths: [root] })).include_dir;
  } catch {
    return null;
  }
  const directory = join(root, '.nodedir');
  const target = join(directory, 'include/node');
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(source)) copyFileSync(join(source, name), join(target, name));
  const common = {
    target_defaults: {
      default_configuration: 'Release',
      configurations: { Release: { cflags: ['-O2'], defines: ['NDEBUG'] }, Debug: { cflags: ['-g'] } },
      cflags: ['-fPIC', '-pthread'],
      ldflags: ['-pthread'],
      defines: ['BUILDING_NODE_EXTENSION', '_FILE_OFFSET_BITS=64'],
    },
  };
  writeFileSync(join(target, 'common.gypi'), JSON.stringify(common));
  writeFileSync(join(target, 'config.gypi'), JSON.stringify({ variables: {}, target_defaults: {} }));
  return directory;
}

/** node-gyp: the one npm offers to install scripts, a development dependency, or the one inside npm. */
function nodeGyp() {
  const inNpm = 'npm/node_modules/node-gyp/bin/node-gyp.js';
  const prefix = resolve(dirname(process.execPath), '..');
  const candidates = [
    join(root, 'node_modules/node-gyp/bin/node-gyp.js'),
    process.env.npm_config_node_gyp,
    join(prefix, 'lib/node_modules', inNpm),
    join(prefix, 'share/nodejs', inNpm),
  ];
  return candidates.find((path) => path && existsSync(path)) ?? null;
}

function complain(text) {
  console.error(`\nquadring: ${text}\n`);
  return 1;
}

function withoutHeaders() {
  return complain(
    "the addon cannot be compiled here, because Node's headers were not found; set npm_config_nodedir.",
  );
}

function didNotCompile({ stdout, stderr }) {
  process.stderr.write((stdout ?? '') + (stderr ?? ''));
  return complain('the addon did not compile; what the compiler said stands above.');
}

function compile(fromNothing) {
  const { install, packages } = missing();
  if (packages.length > 0) {
    const command = `${process.getuid() === 0 ? '' : 'sudo '}${install} ${packages.join(' ')}`;
    return complain(
      `no prebuilt addon fits ${process.platform}-${process.arch}, and it cannot be compiled here, because ` +
        `${packages.join(', ')} ${packages.length === 1 ? 'is' : 'are'} missing (liburing ${liburingFloor} or later). ` +
        `Install with:\n\n    ${command}\n\nand run the command again.`,
    );
  }
  const gyp = nodeGyp();
  if (gyp === null)
    return complain('the addon cannot be compiled here, because node-gyp was not found; it comes with npm.');
  const headers = headersDirectory();
  if (headers === null) return withoutHeaders();
  for (const step of fromNothing ? ['rebuild'] : ['configure', 'build']) {
    const settings = ['--loglevel=error', '--jobs=2', `--nodedir=${headers}`];
    const result = spawnSync(process.execPath, [gyp, step, ...settings], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      // npm hands a user's own setting down by this name, and node-gyp prefers it to the argument.
      env: { ...process.env, npm_config_nodedir: headers },
    });
    if (process.env.npm_config_loglevel === 'verbose') process.stderr.write(result.stdout + result.stderr);
    if (result.status === 0) continue;
    return didNotCompile(result);
  }
  if (loadsAfresh()) {
    // make leaves it alone if what changed was no part of it; the next run should see that nothing is to be done.
    const now = new Date();
    utimesSync(built, now, now);
    return 0;
  }
  // Perhaps what was compiled earlier, and kept, came from another machine or C library.
  return fromNothing ? complain('the addon compiled, but it does not load.') : compile(true);
}

/**
 * For packages: with the libraries inside, so that a machine needs neither them nor a compiler. One for each processor and
 * C library; those of others are to be copied into prebuilds/ from such machines.
 */
function prebuild() {
  const shared = libraries.filter((library) => !linked(library).endsWith('.a'));
  if (shared.length > 0) {
    const names = shared.map(({ name }) => `lib${name}.a`).join(' and ');
    return complain(`a prebuilt addon carries its libraries with it, and there is no ${names} here.`);
  }
  const headers = headersDirectory();
  if (headers === null) return withoutHeaders();
  const result = spawnSync(
    process.execPath,
    [require.resolve('prebuildify/bin.js'), '--napi', '--strip', '--tag-libc'],
    {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, npm_config_nodedir: headers },
    },
  );
  // It leaves no build behind, and in a checkout it is the build that follows the sources.
  return result.status === 0 ? compile(false) : didNotCompile(result);
}

function main(argument) {
  switch (argument) {
    case '--libraries':
      console.log(libraries.map(linked).join('\n'));
      return 0;
    case '--missing':
      console.log(JSON.stringify(missing()));
      return 0;
    case '--rebuild':
      return compile(true);
    case '--prebuild':
      return prebuild();
    case undefined:
      break;
    default:
      return complain(`unknown argument ${argument}`);
  }
  if (process.env.npm_config_build_from_source === 'true') return compile(true);
  if (existsSync(built)) return isUpToDate() && loadsHere() ? 0 : compile(false);
  return existsSync(join(root, 'prebuilds')) && loadsHere() ? 0 : compile(false);
}

module.exports = { headersDirectory, isUpToDate, missing, nodeGyp };
if (require.main === module) process.exitCode = main(process.argv[2]);
