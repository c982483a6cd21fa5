// Ways through codes. As the service goes them: along the sphere that draws from a normal prior lie about.

export const plus = (a, b, share = 1) => a.map((one, k) => one + share * b[k]);

const dot = (a, b) => a.reduce((sum, one, k) => sum + one * b[k], 0);
const length = (a) => Math.sqrt(dot(a, a));
const scaled = (a, by) => a.map((one) => one * by);
const straight = (a, b, share) => a.map((one, k) => (1 - share) * one + share * b[k]);

/** The code at a share of the way from a to b: directions along the arc (White 2016), lengths evenly. */
export function between(a, b, share) {
  const lengths = [length(a), length(b)];
  if (!lengths[0] || !lengths[1]) return straight(a, b, share);
  const [u, v] = [scaled(a, 1 / lengths[0]), scaled(b, 1 / lengths[1])];
  const angle = 2 * Math.atan2(length(plus(u, v, -1)), length(plus(u, v)));
  const sine = Math.sin(angle);
  if (sine < 1e-6) return straight(a, b, share);
  const weights = [Math.sin((1 - share) * angle) / sine, Math.sin(share * angle) / sine];
  const direction = u.map((one, k) => weights[0] * one + weights[1] * v[k]);
  return scaled(direction, (1 - share) * lengths[0] + share * lengths[1]);
}

/** `steps` codes from a to b, both of them included. */
export const way = (a, b, steps) => Array.from({ length: steps }, (_, step) => between(a, b, step / (steps - 1)));

/** A code with some of its numbers changed: `[[index, by], ...]`. */
export function moved(code, changes) {
  const there = [...code];
  for (const [index, by] of changes) there[index] += by;
  return there;
}
