// What the server says, as objects, and pixels as typed arrays; every address is relative to this page.

/** The server refused or could not be reached; the message is for people. */
export class ServerError extends Error {}

const SAMPLES = {
  bool: Uint8Array, uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array,
  int32: Int32Array, uint64: BigUint64Array, int64: BigInt64Array, float32: Float32Array, float64: Float64Array,
};

/** A relative address with its query; parameters that are null are left out. */
export function address(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function fetchOk(path, parameters, signal) {
  let answer;
  try {
    answer = await fetch(address(path, parameters), { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is 'bioimage-assets browse' still running?");
  }
  if (!answer.ok) throw new ServerError(await readRefusal(answer));
  return answer;
}

async function readRefusal(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).message ?? JSON.parse(text).error ?? text;
  } catch {
    return text.length && text.length < 2000 ? text : `The server answered ${answer.status} ${answer.statusText}.`;
  }
}

/** JSON of `api/<name>`. */
export async function ask(name, parameters = {}, signal = undefined) {
  return (await fetchOk(`api/${name}`, parameters, signal)).json();
}

/** The picture of an address of `thumb`, made now where it was not made before. */
export const fetchThumbnail = async (where, signal = undefined) => (await fetchOk(where, {}, signal)).blob();

/** Pictures of several addresses of `thumb` in one request: a blob each, null for one that was not made yet. */
export async function fetchThumbnails(addresses, signal = undefined) {
  const asked = addresses.map((one) => new URLSearchParams(one.slice(one.indexOf("?") + 1)));
  const parameters = new URLSearchParams({ plate_key: asked[0].get("plate_key"), size: asked[0].get("size") });
  for (const one of asked) for (const name of ["image_id", "v"]) parameters.append(name, one.get(name));
  const buffer = await (await fetchOk(`thumbs?${parameters}`, {}, signal)).arrayBuffer(), lengths = new DataView(buffer);
  let at = 0;
  return addresses.map(() => {
    const start = at + 4, length = lengths.getUint32(at, true);
    at = start + length;
    return length ? new Blob([buffer.slice(start, at)], { type: "image/jpeg" }) : null;
  });
}

/**
 * Pixels of channels in a box of a level: `{planes, height, width}`, one array for each number of `channels`, rows after each other.
 *
 * Whole numbers of 64 bits become floating-point ones, which are exact up to 2^53.
 */
export async function fetchPixels(parameters, channels, signal = undefined) {
  const answer = await fetchOk("pixels", { ...parameters, c: channels.join(",") }, signal);
  const [height, width] = answer.headers.get("X-Shape").split(",").map(Number).slice(-2);
  const samples = readSamples(await answer.arrayBuffer(), answer.headers.get("X-Dtype")), size = height * width;
  if (samples.length !== size * channels.length) throw new ServerError(`${samples.length} pixels came for ${channels.length} x ${height} x ${width}.`);
  return { planes: channels.map((_, number) => samples.subarray(number * size, (number + 1) * size)), height, width };
}

function readSamples(buffer, dtype) {
  if (dtype === "float16") return readHalves(new Uint16Array(buffer));
  const kind = SAMPLES[dtype];
  if (!kind) throw new ServerError(`Pixels of type ${dtype} cannot be shown.`);
  const samples = new kind(buffer);
  return dtype.endsWith("64") && dtype !== "float64" ? Float64Array.from(samples, Number) : samples;
}

function readHalves(words) {
  return Float32Array.from(words, (word) => {
    const exponent = (word >> 10) & 31, fraction = word & 1023, sign = word >> 15 ? -1 : 1;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
  });
}
