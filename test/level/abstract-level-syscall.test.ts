/** abstract-level's public test suite, on plain system calls. */
import { declareSuite } from './abstract-level-suite.ts';

declareSuite('syscall');
