/**
 * Style is a test as well: what a linter cannot see, or what must hold even where nobody runs one.
 */
import test from 'ava';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** This file is compiled to dist/test/. */
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const LINES_MAX = 500;

/** What .gitignore names, and git's own. */
const IGNORED_FOLDERS = new Set([
  '.git',
  'node_modules',
  'dist',
  'build',
  'coverage',
  '.nodedir',
  'prebuilds',
  '.vm',
]);
const IGNORED_PATHS = new Set(['bench/results']);
const BINARY = new Set(['.node', '.png', '.log']);

interface SourceFile {
  /** From the root, with slashes. */
  readonly path: string;
  readonly text: string;
}

function readTree(): SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      const name = relative(ROOT, path);
      if (entry.isDirectory()) {
        if (!IGNORED_FOLDERS.has(entry.name) && !IGNORED_PATHS.has(name)) visit(path);
      } else if (entry.isFile() && !BINARY.has(extname(path))) {
        files.push({ path: name, text: readFileSync(path, 'utf8') });
      }
    }
  };
  visit(ROOT);
  return files;
}

const tree = readTree();
const typeScript = tree.filter(({ path }) => path.endsWith('.ts'));
const sources = typeScript.filter(({ path }) => path.startsWith('src/'));

/** `path:line: the line` of every line of the files that matches. */
function linesThatMatch(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text
      .split('\n')
      .map((line, index) => ({ line, place: `${path}:${index + 1}` }))
      .filter(({ line }) => pattern.test(line))
      .map(({ line, place }) => `${place}: ${line.trim()}`),
  );
}

function parse({ path, text }: SourceFile): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
}

function everyNode(file: ts.SourceFile, look: (node: ts.Node) => void): void {
  const visit = (node: ts.Node): void => {
    look(node);
    ts.forEachChild(node, visit);
  };
  visit(file);
}

/** The modules that a file imports, exports from, or imports dynamically or as a type, relative ones from the root. */
function importsOf(file: SourceFile): string[] {
  const found: string[] = [];
  everyNode(parse(file), (node) => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
      if (ts.isStringLiteral(node.moduleSpecifier)) found.push(node.moduleSpecifier.text);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const argument = node.arguments[0];
      if (argument && ts.isStringLiteral(argument)) found.push(argument.text);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) found.push(node.argument.literal.text);
    }
  });
  return found.map((name) => (name.startsWith('.') ? join(dirname(file.path), name) : name));
}

test('the tree was found', (t) => {
  t.true(tree.some(({ path }) => path === 'package.json'));
  t.true(sources.some(({ path }) => path === 'src/assert.ts'));
});

test(`no file in src/ is longer than ${LINES_MAX} lines`, (t) => {
  const long = sources.map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }));
  t.deepEqual(
    long.filter(({ lines }) => lines > LINES_MAX),
    [],
  );
});

test('every file in src/ begins with a comment that says what it is', (t) => {
  const bare = sources.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text));
  t.deepEqual(
    bare.map(({ path }) => path),
    [],
  );
});

/** Which parts of src/ a room may import from; a file of its own is always allowed. Same table as eslint.config.js. */
const BASE = ['src/assert.ts', 'src/errors.ts', 'src/native.ts'];
const ROOMS = [
  { room: 'src/format/', mayImport: BASE },
  { room: 'src/atomics-sync/', mayImport: ['src/assert.ts'] },
  { room: 'src/protocol/', mayImport: [...BASE, 'src/format/', 'src/atomics-sync/'] },
  { room: 'src/main/', mayImport: [...BASE, 'src/format/', 'src/atomics-sync/', 'src/protocol/'] },
  { room: 'src/workers/', mayImport: [...BASE, 'src/format/', 'src/atomics-sync/', 'src/protocol/'] },
  { room: 'src/level/', mayImport: ['src/index.ts'] },
];

for (const { room, mayImport } of ROOMS) {
  test(`${room} imports only what the table of rooms allows`, (t) => {
    const wrong = sources
      .filter(({ path }) => path.startsWith(room))
      .flatMap((file) => importsOf(file).map((name) => ({ path: file.path, name })))
      .filter(({ name }) => name.startsWith('src/') && !name.startsWith(room))
      .filter(({ name }) => !mayImport.some((allowed) => name.startsWith(allowed)));
    t.deepEqual(wrong, []);
  });
}

test('the type any is used nowhere', (t) => {
  const found: string[] = [];
  for (const file of typeScript) {
    const parsed = parse(file);
    everyNode(parsed, (node) => {
      if (node.kind !== ts.SyntaxKind.AnyKeyword) return;
      found.push(`${file.path}:${parsed.getLineAndCharacterOfPosition(node.getStart(parsed)).line + 1}`);
    });
  }
  t.deepEqual(found, []);
});

const code = tree.filter(({ path }) => /\.(ts|js|mjs|cjs|cc|h)$/.test(path) && path !== 'test/tidy.test.ts');

test('a rule of the linter is switched off only with a reason', (t) => {
  t.deepEqual(linesThatMatch(code, /eslint-disable(?!.* -- \S)/), []);
  t.deepEqual(linesThatMatch(code, /@ts-(ignore|nocheck)/), []);
});

test('no test runs alone or is skipped', (t) => {
  const tests = code.filter(({ path }) => path.startsWith('test/'));
  t.deepEqual(linesThatMatch(tests, /\.(only|skip)\(/), []);
});

test('nothing is left for later', (t) => {
  t.deepEqual(linesThatMatch(code, /\b(TODO|FIXME|XXX)\b/), []);
});

const written = tree.filter(({ path }) => path !== 'test/tidy.test.ts');

test('no file names a directory of somebody’s machine', (t) => {
  t.deepEqual(
    linesThatMatch(written, /(^|[^\w.\-/}]|file:\/\/)\/(home|root|Users|work|workspace)\/[\w.-]/),
    [],
  );
});

test('no file names the host of a package registry', (t) => {
  const hosts =
    /npmjs\.org|npmmirror|yarnpkg\.com|pkg\.github\.com|pypi\.org|deb\.debian\.org|archive\.ubuntu\.com|jfrog\.io/;
  t.deepEqual(linesThatMatch(written, hosts), []);
  t.deepEqual(linesThatMatch(written, /https?:\/\/[^/\s]*(registry|artifactory|nexus|verdaccio)/), []);
  t.deepEqual(
    linesThatMatch(
      written.filter(({ path }) => /(^|\/)package-lock\.json$/.test(path)),
      /"resolved": "http/,
    ),
    [],
  );
});
