import eslint from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

// Who may import what: the table of rooms in docs/architecture.md. A room's own files are './…' and always allowed.
const rooms = [
  { files: 'src/format/**', mayImport: ['assert.ts', 'errors.ts', 'native.ts'] },
  { files: 'src/atomics-sync/**', mayImport: ['assert.ts'] },
  {
    files: 'src/protocol/**',
    mayImport: ['assert.ts', 'errors.ts', 'native.ts', 'format/', 'atomics-sync/'],
  },
  {
    files: 'src/main/**',
    mayImport: ['assert.ts', 'errors.ts', 'native.ts', 'format/', 'atomics-sync/', 'protocol/'],
  },
  {
    files: 'src/workers/**',
    mayImport: ['assert.ts', 'errors.ts', 'native.ts', 'format/', 'atomics-sync/', 'protocol/'],
  },
  // A layer over the public surface: what it can do, a user could.
  { files: 'src/level/**', mayImport: ['index.ts'] },
];

function roomRule({ files, mayImport }) {
  const allowed = mayImport
    .map((path) => path.replace('.', '\\.') + (path.endsWith('/') ? '' : '$'))
    .join('|');
  return {
    files: [`${files}/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(?!\\.\\./|${allowed})`,
              message: `${files} may import ${mayImport.join(', ')} and its own files; see docs/architecture.md.`,
            },
          ],
        },
      ],
    },
  };
}

export default defineConfig(
  { ignores: ['dist/', 'build/', 'coverage/', 'prebuilds/', 'bench/results/', '.vm/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
  ...rooms.map(roomRule),
  {
    // The public faces speak to the owner, never to a ring thread.
    files: ['src/*.ts', 'src/cli/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [{ regex: '^\\.\\.?/(\\.\\./)*workers/', message: 'Only src/main starts ring threads.' }],
        },
      ],
    },
  },
  {
    // A test may be async only because the form that ava or a seam expects is; and it may hand a method of the addon's
    // around, which needs no `this` that the types could show.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs', '**/*.cjs'],
    languageOptions: {
      globals: {
        console: 'readonly',
        process: 'readonly',
        URL: 'readonly',
        performance: 'readonly',
        Buffer: 'readonly',
      },
    },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: { __dirname: 'readonly', module: 'writable', require: 'readonly' },
    },
  },
);
