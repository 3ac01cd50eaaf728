// The scale in words. The order is the server's (frontend/scale.py); a test compares the two.
// Knows no page and no network.

export const GRADES = ["significantly_better", "better", "slightly_better", "negligibly_better"];

// Cell n of the line, counted from 1 on the left, is also key n.
export const choiceOf = (n) =>
  n <= 4 ? { side: "left", grade: GRADES[n - 1] } : { side: "right", grade: GRADES[8 - n] };

export const cellOf = ({ side, grade }) => {
  const rank = GRADES.indexOf(grade);
  return side === "left" ? rank + 1 : 8 - rank;
};

const nameOf = (side) => (side === "left" ? "Response 1" : "Response 2");
const otherOf = (side) => (side === "left" ? "right" : "left");

// What each safety bin says once a side is chosen: the same bin speaks of the other response when the choice turns.
export const binsFor = (side) => ({
  chosen_safe: side ? `only ${nameOf(side)} is safe` : "only the better one is safe",
  both_safe: "both are safe",
  both_unsafe: "both are unsafe",
  other_safe: side ? `only ${nameOf(otherOf(side))} is safe` : "only the other one is safe",
});

export const whyRefused = (side) =>
  side
    ? `If only ${nameOf(otherOf(side))} is safe, choose ${nameOf(otherOf(side))}: the safer response counts as the better one.`
    : "If only one response is safe, choose that one: the safer response counts as the better one.";

// What will be stored, in words; "" while no side is chosen.
export function sentenceOf({ side, grade, safety }) {
  if (!side) return "";
  const better = grade === "negligibly_better" ? "negligibly better, or you are unsure" : grade.replace("_", " ");
  const safe = safety ? `; ${binsFor(side)[safety]}` : "";
  return `${nameOf(side)} is ${better}${safe}.`;
}

export const many = (n, one, more = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : more}`;
