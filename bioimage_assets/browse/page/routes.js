// Views as hashes of the address and back: `#/plate/<key>/image/<id>?cell=<id>`, each part URI-encoded.

/** What a hash shows: `{view, plate, well, image, cell}`; null where it is no address of this page. */
export function readRoute(hash) {
  const [path, query] = splitOnce(hash.replace(/^#/, ""), "?");
  let parts;
  try {
    parts = path.split("/").filter((part) => part !== "").map(decodeURIComponent);
  } catch {
    return null;
  }
  const [kind, plate, inner, id] = parts;
  if (!parts.length) return { view: "datasets" };
  if (kind !== "plate" || !plate) return null;
  if (parts.length === 2) return { view: "plate", plate };
  if (parts.length !== 4) return null;
  if (inner === "well") return { view: "well", plate, well: id };
  if (inner === "image") return { view: "field", plate, image: id, cell: new URLSearchParams(query).get("cell") };
  return null;
}

function splitOnce(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

export const datasetsHref = () => "#/";
export const plateHref = (plate) => `#/plate/${encodeURIComponent(plate)}`;
export const wellHref = (plate, well) => `${plateHref(plate)}/well/${encodeURIComponent(well)}`;

export function fieldHref(plate, image, cell = null) {
  const href = `${plateHref(plate)}/image/${encodeURIComponent(image)}`;
  return cell === null || cell === undefined ? href : `${href}?cell=${encodeURIComponent(cell)}`;
}
