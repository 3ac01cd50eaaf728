// Which words only one of two rendered answers has, marked without touching the page: the CSS Custom Highlight API
// colours ranges. Knows elements and words; must not know pairs, keys or the network.

const NAME = "difference"; // ::highlight(difference) in workbench.css
const CELLS = 6_000_000; // of the table: two answers of 2,450 words that have nothing in common
const CHARACTERS = 60_000; // of one answer

// The words of a text with where they stand. Chinese and Japanese are written without blanks, so a segmenter cuts
// them: piece by piece, since it takes four times as long for twice the text.
export function wordsOf(text) {
  const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "word" });
  const words = [];
  for (const { 0: piece, index: at } of text.matchAll(/[^\n]{1,1000}(?=\s|$)|[^\n]{1,1000}/g)) {
    const found = segmenter ? segmenter.segment(piece) : piece.matchAll(/[\p{L}\p{N}\p{M}_]+(?:['’]\p{L}+)*|\p{S}/gu);
    for (const { 0: match, segment = match, index, isWordLike = true } of found) {
      if (!isWordLike && !/\p{S}/u.test(segment)) continue;
      words.push({ word: segment, start: at + index, end: at + index + segment.length });
    }
  }
  return words;
}

// The places in `a` and in `b` that have no counterpart in the other, by a longest common subsequence; null when that
// would take too long.
export function differing(a, b) {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let [endA, endB] = [a.length, b.length];
  while (endA > head && endB > head && a[endA - 1] === b[endB - 1]) [endA, endB] = [endA - 1, endB - 1];
  const [rows, columns] = [endA - head, endB - head];
  if (rows * columns > CELLS) return null;
  const kept = longest(a.slice(head, endA), b.slice(head, endB));
  const [onlyA, onlyB] = [[], []];
  let [i, j] = [0, 0];
  while (i < rows || j < columns) {
    if (i < rows && j < columns && a[head + i] === b[head + j]) [i, j] = [i + 1, j + 1];
    else if (j === columns || (i < rows && kept(i + 1, j) >= kept(i, j + 1))) onlyA.push(head + i++);
    else onlyB.push(head + j++);
  }
  return { a: onlyA, b: onlyB };
}

// kept(i, j): how many words a from i on and b from j on have in common, in their order.
function longest(a, b) {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      table[at] = a[i] === b[j] ? table[at + width + 1] + 1 : Math.max(table[at + width], table[at + 1]);
    }
  }
  return (i, j) => table[i * width + j];
}

// The text of an element, a line for each block, and the pieces that it is made of.
function textOf(box) {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  const pieces = [];
  let [text, block] = ["", null];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const around = node.parentElement.closest("p, li, pre, td, th, h1, h2, h3, h4, h5, h6, blockquote, div, mtd");
    if (around !== block) text += "\n";
    block = around;
    pieces.push({ node, start: text.length });
    text += node.data;
  }
  return { text, pieces };
}

// Neighbouring words are marked in one piece, with the blanks between them.
function rangesOf(places, words, { text, pieces }) {
  const ranges = [];
  let piece = 0;
  for (let n = 0; n < places.length; n++) {
    const start = words[places[n]].start;
    while (places[n + 1] === places[n] + 1 && /^[^\n]*$/.test(text.slice(words[places[n]].end, words[places[n + 1]].start))) n++;
    const end = words[places[n]].end;
    const range = new Range();
    while (pieces[piece + 1]?.start <= start) piece++;
    range.setStart(pieces[piece].node, start - pieces[piece].start);
    while (pieces[piece + 1]?.start < end) piece++;
    range.setEnd(pieces[piece].node, end - pieces[piece].start);
    ranges.push(range);
  }
  return ranges;
}

// Marks the words that only one of two elements has and returns how many there are; null where it would take too
// long, or the browser cannot mark.
export function showDifference(left, right) {
  hideDifference();
  if (!globalThis.CSS?.highlights || !globalThis.Highlight) return null;
  const texts = [left, right].map(textOf);
  if (texts.some(({ text }) => text.length > CHARACTERS)) return null;
  const words = texts.map(({ text }) => wordsOf(text));
  const found = differing(...words.map((list) => list.map(({ word }) => word)));
  if (!found) return null;
  const ranges = [found.a, found.b].flatMap((places, n) => rangesOf(places, words[n], texts[n]));
  CSS.highlights.set(NAME, new Highlight(...ranges));
  return found.a.length + found.b.length;
}

export function hideDifference() {
  globalThis.CSS?.highlights?.delete(NAME);
}
