// The plate that is being looked at, asked for again when its own view opens.

import { ask } from "./api.js";

let known = null;

/** Answer of `api/plate`, as it was last given where it is of the same plate. */
export async function findPlate(plateKey, signal) {
  return known?.plate_key === plateKey ? known : askPlate(plateKey, signal);
}

/** Answer of `api/plate` as it is now. */
export async function askPlate(plateKey, signal) {
  known = await ask("plate", { plate_key: plateKey }, signal);
  return known;
}
