/** The abstract-level against options of any kind. What is tried stands in test/support/fuzz/. */
import { levelTargets } from '../support/fuzz/level-targets.ts';
import { testTargets } from '../support/fuzz/test-targets.ts';

testTargets(levelTargets);
