/** Everything that is fuzzed. */
import { blockTargets } from './block-targets.ts';
import { callTargets } from './call-targets.ts';
import { fileTargets } from './file-targets.ts';
import { levelTargets } from './level-targets.ts';
import { logTargets } from './log-targets.ts';
import { nativeTargets } from './native-targets.ts';
import { openTargets } from './open-targets.ts';
import { ringTargets } from './ring-targets.ts';
import { tableTargets } from './table-targets.ts';
import type { FuzzTarget } from './target.ts';

export const allTargets: readonly FuzzTarget[] = [
  ...logTargets,
  ...tableTargets,
  ...blockTargets,
  ...fileTargets,
  ...openTargets,
  ...callTargets,
  ...levelTargets,
  ...nativeTargets,
  ...ringTargets,
];
