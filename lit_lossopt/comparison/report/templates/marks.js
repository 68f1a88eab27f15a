"use strict";
// Numbers of the page's data: decoding, thinning, and words for a reader. Nothing here draws.
const Numbers = (() => {
  function slowly(characters) {
    const bytes = new Uint8Array(characters.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
    return bytes;
  }

  function unpack(text) {
    const bytes = Uint8Array.fromBase64?.(text) ?? slowly(atob(text));
    return new Float32Array(bytes.buffer);
  }

  // Values between known ones, and nothing outside of them.
  function interpolate(points, [knots, values]) {
    const found = new Float64Array(points.length);
    let at = 0;
    for (let i = 0; i < points.length; i++) {
      const x = points[i];
      while (at + 2 < knots.length && knots[at + 1] < x) at++;
      const inside = x >= knots[0] && x <= knots[knots.length - 1];
      const part = (x - knots[at]) / (knots[at + 1] - knots[at]);
      found[i] = inside ? values[at] + part * (values[at + 1] - values[at]) : NaN;
    }
    return found;
  }

  // The lowest and the highest value of each of equal stretches of what is seen, so that no spike is lost.
  function extremes(x, y, [from, to], buckets, logarithmic) {
    const place = logarithmic ? Math.log : (value) => value;
    const start = place(from);
    const width = (place(to) - start) / buckets;
    const kept = [];
    let bucket = -1;
    let low = -1;
    let high = -1;
    const flush = () => {
      if (low < 0) return;
      kept.push(Math.min(low, high));
      if (low !== high) kept.push(Math.max(low, high));
    };
    for (let i = 0; i < x.length; i++) {
      if (!(x[i] >= from && x[i] <= to) || !Number.isFinite(y[i]) || (logarithmic && x[i] <= 0)) continue;
      const now = Math.floor((place(x[i]) - start) / width);
      if (now !== bucket) {
        flush();
        bucket = now;
        low = high = i;
      }
      if (y[i] < y[low]) low = i;
      if (y[i] > y[high]) high = i;
    }
    flush();
    return kept;
  }

  function ends(x) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of x) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  }

  function text(value) {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size >= 100) return Math.round(value).toLocaleString("en-US");
    return size !== 0 && size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  }

  // plotly reads some marks in texts; here every text is only text.
  function escape(words) {
    return String(words).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  function shorten(words, most) {
    return words.length > most ? `${words.slice(0, most - 1)}…` : words;
  }

  return { unpack, interpolate, extremes, ends, text, escape, shorten };
})();
