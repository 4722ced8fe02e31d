/** The engine against damaged files and against arguments of any kind. What is tried stands in test/support/fuzz/. */
import { callTargets } from '../support/fuzz/call-targets.ts';
import { fileTargets } from '../support/fuzz/file-targets.ts';
import { openTargets } from '../support/fuzz/open-targets.ts';
import { testTargets } from '../support/fuzz/test-targets.ts';

testTargets([...openTargets, ...callTargets, ...fileTargets]);
