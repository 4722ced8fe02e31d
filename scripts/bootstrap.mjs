/**
 * From a bare clone to a built tree: system packages, npm packages, the addon, the compiled TypeScript, and the ring
 * threads' modules once more in one file. Runs before `npm test` and `npm run demo`. Node's own modules only, since nothing
 * else is installed yet; quiet, and done in a fraction of a second, when there is nothing to do. What it says goes to
 * stderr, so that stdout stays the command's.
 *
 * `QUADRING_NO_SYSTEM_PACKAGES=1` keeps it from installing system packages.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
/** Where TypeScript is compiled from; `dist/` mirrors these folders. */
const SOURCE_FOLDERS = ['src', 'test', 'bench', 'examples', 'scripts'];
/** Its time is the moment at which the last successful compilation began. */
const STAMP = join(root, 'dist/.compiled');

function at(path) {
  return join(root, path);
}

function say(text) {
  console.error(`[bootstrap] ${text}`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

/** Runs a command without stdin, its output on our stderr; its exit status. */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (result.error) say(`${command}: ${result.error.message}`);
  return result.status ?? 1;
}

function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function checkPlatform() {
  if (process.platform !== 'linux') fail(`quadring needs Linux (io_uring); this is ${process.platform}`);
  const { engines } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
  const [neededMajor, neededMinor] = engines.node.match(/\d+/g).map(Number);
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < neededMajor || (major === neededMajor && minor < neededMinor)) {
    fail(`quadring needs Node ${engines.node}; this is ${process.versions.node}`);
  }
}

/** How this process may install system packages: a prefix for the command, or null if it may not. */
function privilege() {
  if (process.env.QUADRING_NO_SYSTEM_PACKAGES === '1') return null;
  if (process.getuid() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : null;
}

/** The compiler, make, Python (for node-gyp), liburing and LZ4. Asked for only when the addon is to be compiled. */
function systemPackages() {
  const { isUpToDate, missing } = require('./native.cjs');
  if (isUpToDate() || existsSync(at('prebuilds'))) return;
  const { install, packages } = missing();
  if (packages.length === 0) return;
  const prefix = install.startsWith('apt-get') ? privilege() : null;
  if (prefix !== null) {
    say(`installing system packages: ${packages.join(' ')}`);
    // `env` and not our own environment: sudo does not pass that on.
    const apt = [
      ...prefix,
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      '-qq',
      '-o',
      'Dpkg::Use-Pty=0',
    ];
    const aptGet = (...args) => run(apt[0], [...apt.slice(1), ...args], { stdio: ['ignore', 'ignore', 2] });
    // The lists may be good enough even if one of their sources does not answer; the installation will tell.
    aptGet('update');
    aptGet('install', '-y', '--no-install-recommends', ...packages);
  }
  const left = missing().packages;
  if (left.length === 0) return;
  const sudo = process.getuid() === 0 ? '' : 'sudo ';
  fail(`system packages are missing; install them and run this again: ${sudo}${install} ${left.join(' ')}`);
}

/** `npm ci` when the lock file is newer than the last installation. */
function npmPackages() {
  const installed = changedAt(at('node_modules/.package-lock.json'));
  if (installed > 0 && installed >= changedAt(at('package-lock.json'))) return;
  say('installing npm packages');
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const status = npm?.endsWith('.js') ? run(process.execPath, [npm, ...args]) : run('npm', args);
  if (status !== 0) fail('npm ci failed');
}

function addon() {
  if (run(process.execPath, [at('scripts/native.cjs')]) !== 0) fail('there is no usable addon');
}

/** Every TypeScript source, and every folder: a folder changes when a file in it appears or goes. */
function sourcesAndFolders() {
  const found = [];
  const visit = (folder) => {
    found.push(folder);
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      // The engines that quadring is compared with bring sources that are not compiled here.
      if (entry.name === 'node_modules') continue;
      if (entry.isDirectory()) visit(path);
      else if (entry.name.endsWith('.ts')) found.push(path);
    }
  };
  for (const folder of SOURCE_FOLDERS) if (existsSync(at(folder))) visit(at(folder));
  return found;
}

/** Removes what was compiled from sources that are gone: a test among them would still be run. */
function removeOrphans() {
  const visit = (folder) => {
    for (const entry of readdirSync(at(join('dist', folder)), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (!existsSync(at(path.replace(/\.(js|js\.map|d\.ts)$/, '.ts')))) rmSync(at(join('dist', path)));
    }
  };
  for (const folder of SOURCE_FOLDERS) if (existsSync(at(join('dist', folder)))) visit(folder);
}

/**
 * What the ring threads run, and what the package exports, each in one file: four threads that load forty modules each are a
 * third of the time that an open takes, and importing a hundred modules took 115 ms where it takes 37. The package's files are as
 * deep as the module that finds the ring threads' is.
 */
async function bundle() {
  const { build } = await import('esbuild');
  const common = {
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  };
  await build({
    ...common,
    entryPoints: [at('src/workers/ring-thread.ts')],
    outfile: at('dist/src/ring-thread.js'),
  });
  await build({
    ...common,
    entryPoints: [at('src/index.ts'), at('src/level.ts')],
    outdir: at('dist/src/package'),
    // What both of them need is there once: one Database, one QuadringError.
    splitting: true,
    chunkNames: 'common-[hash]',
  });
}

async function typeScript() {
  const compiled = changedAt(STAMP);
  const inputs = [
    ...sourcesAndFolders(),
    at('tsconfig.json'),
    at('package.json'),
    at('node_modules/.package-lock.json'),
  ];
  if (compiled > 0 && inputs.every((path) => changedAt(path) < compiled)) return;
  const began = new Date();
  if (compiled === 0) say('compiling TypeScript');
  if (run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at('tsconfig.json')]) !== 0) {
    fail('TypeScript did not compile');
  }
  removeOrphans();
  await bundle();
  mkdirSync(dirname(STAMP), { recursive: true });
  closeSync(openSync(STAMP, 'w'));
  utimesSync(STAMP, began, began);
}

checkPlatform();
systemPackages();
npmPackages();
addon();
await typeScript();
