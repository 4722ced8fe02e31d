/** What the names of the arms say: which engine an arm is, and how it is drawn. Pure; benchmarks only. */
import { STRONGEST_HUE } from '../support/svg.ts';

export const OWN_ARM = 'quadring';

/** In the order in which they are told apart best; the strongest one is quadring's alone. */
const OTHER_HUES = [1, 2, 3, 7, 9, 8, 4, 5];
/** Grey: what the disk gives without an engine stands behind them. */
const REFERENCE_HUE = 0;

export interface ArmStyle {
  readonly hue: number;
  /** It has the hue of another arm of its engine. */
  readonly isVariant: boolean;
}

/** The first word of an arm's name: `RocksDB` and `RocksDB buffered + 8 MB cache` are one engine, `rocksdb-native` another. */
export function engineOf(arm: string): string {
  return arm.split(/[ ,]/)[0];
}

/** What the disk gives without an engine: nobody's competitor. */
const REFERENCES: readonly string[] = ['fio', 'bare pwritev2'];

export function isReference(arm: string): boolean {
  return REFERENCES.includes(arm);
}

/** In the order in which they first come, quadring first. */
export function armsInOrder(names: Iterable<string>): string[] {
  const arms = [...new Set(names)];
  const isOwn = (arm: string): boolean => engineOf(arm) === OWN_ARM;
  return [
    ...arms.filter((arm) => arm === OWN_ARM),
    ...arms.filter((arm) => isOwn(arm) && arm !== OWN_ARM),
    ...arms.filter((arm) => !isOwn(arm)),
  ];
}

/** An engine's second arm shares the hue of its first; with a third one that would say nothing, so it has its own. */
export function armStyles(arms: readonly string[]): ReadonlyMap<string, ArmStyle> {
  const styles = new Map<string, ArmStyle>();
  const engines = new Map<string, { hue: number; arms: number }>();
  let taken = 0;
  const nextHue = (): number => OTHER_HUES[taken++ % OTHER_HUES.length];
  for (const arm of arms) {
    if (isReference(arm)) {
      styles.set(arm, { hue: REFERENCE_HUE, isVariant: false });
      continue;
    }
    const name = engineOf(arm);
    const engine = engines.get(name) ?? { hue: name === OWN_ARM ? STRONGEST_HUE : nextHue(), arms: 0 };
    engine.arms++;
    engines.set(name, engine);
    styles.set(arm, { hue: engine.arms <= 2 ? engine.hue : nextHue(), isVariant: engine.arms === 2 });
  }
  return styles;
}
