// Words of the screen: the scale, the safety bins, and the other language. The order of the scale is the server's
// (frontend/scale.py); a test compares the two. Knows no page and no network.

let catalogue = {};

// `words`: English sentence -> the person's language, or its forms where it counts; what is missing stays English.
export const speak = (words) => { catalogue = words; };

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

export const gettext = (text, values = {}) => fill(catalogue[text] ?? text, values);

// A language with more than two forms would need its rule here.
export function ngettext(one, more, n, values = {}) {
  const forms = catalogue[one] ?? [one, more];
  return fill(n === 1 ? forms[0] : forms.at(-1), { n: n.toLocaleString(), ...values });
}

export const GRADES = ["significantly_better", "better", "slightly_better", "negligibly_better"];

// Cell n of the line, counted from 1 on the left.
export const choiceOf = (n) =>
  n <= 4 ? { side: "left", grade: GRADES[n - 1] } : { side: "right", grade: GRADES[8 - n] };

export const cellOf = ({ side, grade }) => {
  const rank = GRADES.indexOf(grade);
  return side === "left" ? rank + 1 : 8 - rank;
};

const NUMBER = { left: 1, right: 2 };

// What each safety bin says once a side is chosen: the same bin speaks of the other response when the choice turns.
export const binsFor = (side) => ({
  chosen_safe: side ? gettext("only Response {n} is safe", { n: NUMBER[side] }) : gettext("only the better one is safe"),
  both_safe: gettext("both are safe"),
  both_unsafe: gettext("both are unsafe"),
  other_safe: side ? gettext("only Response {n} is safe", { n: 3 - NUMBER[side] }) : gettext("only the other one is safe"),
});

export const whyRefused = (side) =>
  side
    ? gettext("If only Response {n} is safe, choose Response {n}: the safer response counts as the better one.", { n: 3 - NUMBER[side] })
    : gettext("If only one response is safe, choose that one: the safer response counts as the better one.");

const betterBy = (grade, n) => ({
  significantly_better: gettext("Response {n} is significantly better", { n }),
  better: gettext("Response {n} is better", { n }),
  slightly_better: gettext("Response {n} is slightly better", { n }),
  negligibly_better: gettext("Response {n} is negligibly better, or you are unsure", { n }),
})[grade];

// What will be stored, in words; "" while no side is chosen.
export function sentenceOf({ side, grade, safety }) {
  if (!side) return "";
  const better = betterBy(grade, NUMBER[side]);
  if (!safety) return gettext("{words}.", { words: better });
  return gettext("{better}; {safe}.", { better, safe: binsFor(side)[safety] });
}
