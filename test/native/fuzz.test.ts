/** The addon's functions and rings against arguments and records of any kind. What is tried stands in test/support/fuzz/. */
import { nativeTargets } from '../support/fuzz/native-targets.ts';
import { ringTargets } from '../support/fuzz/ring-targets.ts';
import { testTargets } from '../support/fuzz/test-targets.ts';

testTargets([...nativeTargets, ...ringTargets]);
