// Mouse, fingers and keys on the canvas of a field as movements of its camera.

const KEYS = {
  ArrowUp: (camera) => camera.pan(-80, 0), ArrowDown: (camera) => camera.pan(80, 0),
  ArrowLeft: (camera) => camera.pan(0, -80), ArrowRight: (camera) => camera.pan(0, 80),
  "+": (camera) => camera.zoom(1.5), "=": (camera) => camera.zoom(1.5), "-": (camera) => camera.zoom(1 / 1.5),
  0: (camera) => camera.fit(),
};
const STILL_PX = 4;

/** Steer `camera` by events of `canvas`; `onMove` after each change, `onClick` and `onPoint` with a place of the image. */
export function steer(canvas, camera, { onMove, onClick, onPoint }) {
  const ratio = () => canvas.width / canvas.clientWidth || 1;
  const pointers = new Map();
  let travelled = 0;

  const place = (event) => {
    const frame = canvas.getBoundingClientRect();
    return { y: (event.clientY - frame.top) * ratio(), x: (event.clientX - frame.left) * ratio() };
  };
  const onImage = ({ y, x }) => camera.toImage(y, x);

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event), before = pointers.get(event.pointerId);
    onPoint(onImage(now));
    if (!before) return;
    travelled += Math.abs(now.y - before.y) + Math.abs(now.x - before.x);
    if (pointers.size === 2) pinch(pointers, event.pointerId, now, camera);
    else if (travelled > STILL_PX) camera.pan(before.y - now.y, before.x - now.x);
    pointers.set(event.pointerId, now);
    if (travelled > STILL_PX) onMove();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!pointers.delete(event.pointerId) || pointers.size) return;
    if (travelled <= STILL_PX) onClick(onImage(place(event)));
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => onPoint(null));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { y, x } = place(event);
    camera.zoom(2 ** (-event.deltaY / (event.deltaMode ? 6 : 300)), y, x);
    onMove();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key](camera);
    onMove();
  });
}

function pinch(pointers, moved, now, camera) {
  const [other] = [...pointers].filter(([id]) => id !== moved).map(([, place]) => place);
  const before = pointers.get(moved);
  const was = Math.hypot(before.y - other.y, before.x - other.x), is = Math.hypot(now.y - other.y, now.x - other.x);
  if (was > 0 && is > 0) camera.zoom(is / was, (now.y + other.y) / 2, (now.x + other.x) / 2);
}
