// What a user decides about their profile, `{weights, pins, removed, texts}`, and changes of it.
// A change is a function from edits to edits, so that it can be made again on newer ones.

const without = (list, one) => list.filter((other) => other !== one);
const including = (list, one) => (list.includes(one) ? list : [...list, one]);
const same = (a, b) => a.length === b.length && a.every((one, n) => one === b[n]);

export const NONE = { weights: {}, pins: [], removed: [], texts: [] };

export const pinning = (id) => (edits) => ({
  ...edits, pins: including(edits.pins, id), removed: without(edits.removed, id),
});
export const unpinning = (id) => (edits) => ({ ...edits, pins: without(edits.pins, id) });
export const removing = (id) => (edits) => ({
  ...edits, removed: including(edits.removed, id), pins: without(edits.pins, id),
});
export const restoring = (id) => (edits) => ({ ...edits, removed: without(edits.removed, id) });
export const writing = (text) => (edits) => ({ ...edits, texts: including(edits.texts, text) });
export const unwriting = (text) => (edits) => ({ ...edits, texts: without(edits.texts, text) });

/** A weight of 1 is what everything has: none of the user's own. */
export const weighing = (id, weight) => (edits) => {
  const { [id]: _, ...weights } = edits.weights;
  return { ...edits, weights: weight === 1 ? weights : { ...weights, [id]: weight } };
};

/** Takes back what led from `before` to `after`, and nothing that was decided since. */
export const reverting = (before, after) => (edits) => {
  const list = (name) => {
    if (same(edits[name], after[name])) return before[name];
    const kept = edits[name].filter((one) => before[name].includes(one) || !after[name].includes(one));
    return before[name].filter((one) => !after[name].includes(one)).reduce(including, kept);
  };
  const weights = { ...edits.weights };
  for (const id of Object.keys({ ...before.weights, ...after.weights })) {
    if (before.weights[id] === after.weights[id]) continue;
    if (before.weights[id] === undefined) delete weights[id];
    else weights[id] = before.weights[id];
  }
  return { weights, pins: list("pins"), removed: list("removed"), texts: list("texts") };
};

/** What to send so that `old` becomes `now`; null where they are the same. */
export function difference(old, now) {
  const sent = {};
  for (const name of ["pins", "removed", "texts"]) if (!same(old[name], now[name])) sent[name] = now[name];
  const weights = {};
  for (const id of Object.keys({ ...old.weights, ...now.weights })) {
    if (old.weights[id] !== now.weights[id]) weights[id] = now.weights[id] ?? null;
  }
  if (Object.keys(weights).length) sent.weights = weights;
  return Object.keys(sent).length ? sent : null;
}
