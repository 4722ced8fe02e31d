/** Several eventfds at once. Owner only. */
import { native } from '../native.ts';

/** All, or none. */
export function createEventfds(count: number): number[] {
  const eventfds: number[] = [];
  try {
    while (eventfds.length < count) eventfds.push(native.createEventfd());
    return eventfds;
  } catch (error) {
    closeDescriptors(eventfds);
    throw error;
  }
}

export function closeDescriptors(descriptors: readonly number[]): void {
  for (const descriptor of descriptors) native.closeDescriptor(descriptor);
}
