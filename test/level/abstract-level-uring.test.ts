/** abstract-level's public test suite, on io_uring. */
import { declareSuite } from './abstract-level-suite.ts';

declareSuite('uring');
