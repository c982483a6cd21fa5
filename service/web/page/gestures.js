// Pointers and wheel over a viewer: drag, pinch, and the divider.

const DOUBLE = 2.5;

export class Gestures {
  constructor(viewer) {
    this.viewer = viewer;
    this.pointers = new Map();
    this.dragsDivider = false;
    const { view } = viewer;
    view.addEventListener("pointerdown", (event) => this.down(event));
    view.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, (event) => this.up(event));
    view.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    view.addEventListener("dblclick", (event) => this.double(event));
  }

  /** A pointer's place in the view. */
  at({ clientX, clientY }) {
    const { left, top } = this.viewer.view.getBoundingClientRect();
    return [clientX - left, clientY - top];
  }

  down(event) {
    if (event.button) return;
    const { viewer } = this;
    viewer.view.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    const onDivider = viewer.divider.contains(event.target);
    this.dragsDivider = this.pointers.size === 1 && Boolean(viewer.after) && (onDivider || !viewer.zoomedIn);
    if (this.dragsDivider && onDivider) viewer.divider.focus({ preventScroll: true });
    else viewer.view.focus({ preventScroll: true });
    if (this.dragsDivider) viewer.splitAtLeft(this.at(event)[0]);
    event.preventDefault();
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.at(event);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, now);
    if (others.length) this.pinch(before, now, others[0][1]);
    else if (this.dragsDivider) this.viewer.splitAtLeft(now[0]);
    else this.viewer.pan(now[0] - before[0], now[1] - before[1]);
  }

  pinch(before, now, other) {
    this.dragsDivider = false;
    const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    const { viewer } = this;
    viewer.zoomTo((viewer.scale * apart(now, other)) / apart(before, other), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    viewer.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    this.dragsDivider = false;
  }

  /** Zooms where the picture has been clicked into, or with Ctrl; else the page scrolls. */
  wheel(event) {
    const { viewer } = this;
    if (!event.ctrlKey && !viewer.view.contains(document.activeElement)) return;
    event.preventDefault();
    viewer.zoomTo(viewer.scale * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), ...this.at(event));
  }

  double(event) {
    const { viewer } = this;
    if (viewer.zoomedIn) viewer.fit();
    else viewer.zoomTo(Math.max(1 / devicePixelRatio, viewer.scale * DOUBLE), ...this.at(event));
  }
}
