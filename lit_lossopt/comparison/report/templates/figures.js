"use strict";
// Traces and layout of a panel, in plotly's words, from the page's data and what is switched on.
const Panels = (() => {
  const THEMES = {
    light: { ink: "#1c1e21", soft: "#595e66", grid: "#e6e7e5", paper: "#fdfdfc", raised: "#ffffff" },
    dark: { ink: "#e8e9eb", soft: "#a6acb5", grid: "#2b2f35", paper: "#14161a", raised: "#23272d" },
  };
  // What a browser draws without stutter, over all runs of a panel.
  const RAW_POINTS = 16000;

  function decode(panel) {
    const keys = panel.axes.map(([key]) => key);
    for (const line of panel.lines) {
      for (const part of ["y", "low", "high"]) line[part] = Numbers.unpack(line[part]);
      for (const key of keys) line.x[key] = Numbers.unpack(line.x[key]);
    }
    for (const dots of panel.dots) for (const part of ["x", "y", "low", "high"]) dots[part] = Numbers.unpack(dots[part]);
    if (panel.heat) {
      const [x, values] = [Numbers.unpack(panel.heat.x), Numbers.unpack(panel.heat.values)];
      panel.heat.x = x;
      panel.heat.values = panel.heat.rows.map((_, row) => values.slice(row * x.length, (row + 1) * x.length));
    }
    return panel;
  }

  // The values of a run are unpacked when they are first drawn: many never are.
  function values(raw, key) {
    if (!raw.x) {
      raw.y = Numbers.unpack(raw.y);
      raw.x = {};
      raw.x.step = raw.even ? Float64Array.from(raw.y, (_, i) => raw.even[0] + i * raw.even[1]) : Numbers.unpack(raw.steps);
    }
    const clock = raw.clocks[key];
    raw.x[key] ??= clock ? Numbers.interpolate(raw.x.step, clock.map(Numbers.unpack)) : raw.x.step.map(() => NaN);
    return [raw.x[key], raw.y];
  }

  function colour(look, state) {
    return state.styles[look][state.dark ? "dark" : "colour"];
  }

  function bandTrace(line, key, state, yLog) {
    const [x, forward, back] = [line.x[key], [], []];
    for (let i = 0; i < line.low.length; i++) {
      if (!Number.isFinite(x[i]) || !Number.isFinite(line.low[i]) || !Number.isFinite(line.high[i])) continue;
      if (yLog && line.high[i] <= 0) continue;
      forward.push([x[i], line.high[i]]);
      back.push([x[i], yLog && line.low[i] <= 0 ? line.high[i] / 1e3 : line.low[i]]);
    }
    const edge = forward.concat(back.reverse());
    return {
      x: edge.map((point) => point[0]), y: edge.map((point) => point[1]), mode: "lines", line: { width: 0 }, fill: "toself",
      fillcolor: `${colour(line.look, state)}2b`, hoverinfo: "skip", showlegend: false,
    };
  }

  function lineTrace(line, key, label, state) {
    const x = line.x[key];
    const banded = line.low.length > 0;
    const points = Array.from(x, (value, i) => {
      const between = banded ? ` (${Numbers.text(line.low[i])} to ${Numbers.text(line.high[i])} over ${line.runs} runs)` : "";
      return `<b>${Numbers.escape(line.arm)}</b><br>${Numbers.escape(label)} ${Numbers.text(value)}: ${Numbers.text(line.y[i])}${between}`;
    });
    const style = state.styles[line.look];
    return {
      x, y: Array.from(line.y, (value) => (Number.isFinite(value) ? value : null)), text: points,
      mode: x.length <= 12 ? "lines+markers" : "lines",
      line: { color: colour(line.look, state), width: 2.2, dash: style.dash, shape: line.steps ? "hv" : "linear" },
      marker: { color: colour(line.look, state), symbol: style.marker, size: x.length <= 12 ? 8 : 5 },
      hovertemplate: "%{text}<extra></extra>", connectgaps: false,
    };
  }

  // All raw values of one arm as one broken line: a line for each run would be slow.
  function rawTrace(panel, look, key, state, seen) {
    const runs = panel.raws.filter((raw) => raw.look === look);
    const shown = panel.raws.filter((raw) => !state.hidden.has(raw.look)).length || 1;
    const buckets = Math.max(24, Math.min(700, Math.floor(RAW_POINTS / 2 / shown)));
    const [xs, ys, texts] = [[], [], []];
    for (const raw of runs) {
      const [x, y] = values(raw, key);
      for (const i of Numbers.extremes(x, y, seen || Numbers.ends(x), buckets, state.xLog)) {
        xs.push(x[i]);
        ys.push(y[i]);
        if (!state.middle) texts.push(`${Numbers.escape(raw.label)}<br>${Numbers.text(x[i])}: ${Numbers.text(y[i])}`);
      }
      xs.push(null);
      ys.push(null);
      texts.push("");
    }
    const hover = state.middle ? { hoverinfo: "skip" } : { text: texts, hovertemplate: "%{text}<extra></extra>" };
    const strength = state.middle ? (state.dark ? 0.3 : 0.22) : 0.6;
    return { x: xs, y: ys, mode: "lines", opacity: strength, line: { color: colour(look, state), width: 1 }, raw: look, ...hover };
  }

  function dotTrace(dots, panel, state) {
    const style = state.styles[dots.look];
    const tint = colour(dots.look, state);
    // Runs of a row are set apart a little, always in the same way.
    const spread = Array.from(dots.x, (value, i) => (dots.strong ? value : value + 0.11 + 0.22 * (((i * 0.618) % 1) - 0.5)));
    const rows = panel.rows.length > 0;
    const known = dots.low.length > 0;
    const error = known && {
      type: "data", symmetric: false, color: tint, thickness: 1.6, width: 4,
      array: Array.from(dots.high, (value, i) => value - dots.y[i]), arrayminus: Array.from(dots.low, (value, i) => dots.y[i] - value),
    };
    const lifted = rows && dots.strong ? Array.from(dots.x, (value) => value - 0.18) : spread;
    return {
      x: rows ? dots.y : dots.x, y: rows ? lifted : dots.y, text: dots.texts.map(Numbers.escape), mode: "markers",
      marker: {
        color: dots.strong ? tint : `${tint}${dots.crossed ? "" : "99"}`, size: dots.strong ? 12 : dots.crossed ? 10 : 8,
        symbol: dots.crossed ? "x" : style.marker, line: { width: dots.strong ? 1.5 : 0, color: state.dark ? "#14161a" : "#ffffff" },
      },
      [rows ? "error_x" : "error_y"]: error || undefined, hovertemplate: "%{text}<extra></extra>", cliponaxis: false,
    };
  }

  function markParts(marks, state, theme) {
    const parts = { traces: [], shapes: [], annotations: [] };
    for (const mark of marks) {
      const tint = mark.look === null ? theme.soft : colour(mark.look, state);
      if (mark.look !== null && state.hidden.has(mark.look)) continue;
      const [[x0, y0], [x1, y1]] = [mark.start, mark.end];
      if (x0 !== null && y0 !== null) {
        const words = Numbers.escape(mark.text);
        parts.traces.push({
          x: [x0, x1], y: [y0, y1], mode: "lines+markers", line: { color: tint, width: 4 }, text: [words, words],
          marker: { symbol: mark.open.map((open, end) => (open ? ["triangle-left", "triangle-right"][end] : "line-ns-open")), size: 12, color: tint, line: { width: 2.5, color: tint } }, hovertemplate: "%{text}<extra></extra>",
        });
      } else if (x0 === null) {
        parts.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0, y1, line: { color: tint, width: 1.5, dash: "dot" } });
        parts.annotations.push({
          xref: "paper", x: 0.01, xanchor: "left", y: state.yLog ? Math.log10(y0) : y0, yanchor: "bottom", showarrow: false,
          text: Numbers.escape(mark.text), font: { size: 12, color: theme.soft }, bgcolor: `${theme.paper}bb`,
        });
      } else {
        parts.shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0, x1, line: { color: tint, width: 1.5, dash: state.styles[mark.look].dash } });
      }
    }
    return parts;
  }

  function traces(panel, state, seen) {
    const [key, label] = panel.axes.find(([name]) => name === state.axis) || panel.axes[0];
    const looks = [...new Set(panel.raws.map((raw) => raw.look))].filter((look) => !state.hidden.has(look));
    const lines = panel.lines.filter((line) => !state.hidden.has(line.look));
    const found = [];
    if (state.raw) found.push(...looks.map((look) => rawTrace(panel, look, key, state, seen)));
    if (state.middle || !panel.raws.length) {
      found.push(...lines.filter((line) => line.low.length).map((line) => bandTrace(line, key, state, state.yLog)));
      found.push(...lines.map((line) => lineTrace(line, key, label, state)));
    }
    found.push(...panel.dots.filter((dots) => !state.hidden.has(dots.look)).map((dots) => dotTrace(dots, panel, state)));
    return found;
  }

  function range(panel, state) {
    if (!panel.yRange || state.whole) return {};
    const [low, high] = panel.yRange;
    if (!state.yLog) return { range: [low > 0 ? 0 : low, high] };
    return low > 0 ? { range: [Math.log10(low), Math.log10(high)] } : {};
  }

  // Powers of ten, and between them 2 and 5 where there is room.
  function scale(logarithmic, arrays) {
    if (!logarithmic) return { type: "linear" };
    const [low, high] = Numbers.ends(arrays.flatMap((array) => Array.from(array).filter((value) => value > 0)));
    return { type: "log", dtick: Math.log10(high / low) > 2.5 ? Math.ceil(Math.log10(high / low) / 7) : "D2", tickformat: "~g" };
  }

  // Above the largest possible value an axis has no numbers: there are bars there, or room.
  function upTo(limit) {
    if (limit === null) return {};
    const alias = {};
    for (let tenth = 1; tenth <= 10 * limit; tenth += 1) alias[String(Math.round(10 * limit + tenth) / 10)] = " ";
    return { labelalias: alias };
  }

  // Whole things are counted in whole numbers.
  function whole(panel, state) {
    if (!panel.xWhole || state.xLog) return {};
    const most = Math.max(...panel.lines.map((line) => Math.max(...Object.values(line.x)[0])));
    return { tick0: 0, dtick: Math.max(1, Math.ceil(most / 10)) };
  }

  function layout(panel, state, parts, theme) {
    const label = (panel.axes.find(([name]) => name === state.axis) || panel.axes[0])[1];
    const axis = {
      gridcolor: theme.grid, linecolor: theme.soft, tickcolor: theme.soft, zeroline: false, automargin: true, showline: true,
      ticks: "outside", ticklen: 4, tickfont: { color: theme.soft, size: 12 }, exponentformat: "power", separatethousands: true,
    };
    const title = (text) => ({ text: Numbers.escape(text), font: { size: 13, color: theme.ink }, standoff: 8 });
    const names = panel.rows.map((name) => Numbers.escape(Numbers.shorten(name, state.narrow ? 17 : 34)));
    const rows = names.length > 0;
    return {
      xaxis: rows
        ? { ...axis, title: title(panel.yLabel), rangemode: "tozero" }
        : { ...axis, ...scale(state.xLog, panel.lines.map((line) => line.x[state.axis] || Object.values(line.x)[0])), ...whole(panel, state), title: title(label) },
      yaxis: rows
        ? { ...axis, tickvals: names.map((_, i) => i), ticktext: names, range: [names.length - 0.5, -0.5], showgrid: false, ticks: "" }
        : { ...axis, ...scale(state.yLog, panel.yRange && !state.whole ? [panel.yRange] : panel.lines.map((line) => line.y)), title: title(panel.yLabel), ...upTo(panel.yLimit), ...range(panel, state) },
      shapes: parts.shapes, annotations: parts.annotations, showlegend: false, hovermode: "closest", hoverdistance: 24,
      hoverlabel: { bgcolor: theme.raised, bordercolor: theme.soft, font: { color: theme.ink, size: 13 }, align: "left" },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 12, r: 14, t: 12, b: 12 },
      font: { family: getComputedStyle(document.body).fontFamily, color: theme.ink },
      // A finger on a figure scrolls the page.
      dragmode: state.coarse || rows ? false : "zoom",
    };
  }

  // Colours of a logarithmic scale: the same in every panel of a figure.
  function heatTrace(heat, label, state, theme) {
    const log = heat.values.map((row) => Array.from(row, (value) => (value > 0 ? Math.log10(value) : null)));
    const texts = heat.values.map((row, place) => Array.from(row, (value, i) =>
      `${Numbers.escape(heat.rows[place])}<br>${Numbers.escape(label)} ${Numbers.text(heat.x[i])}: ${Numbers.text(value)}`));
    const [low, high] = heat.ends.map(Math.log10);
    const powers = [];
    for (let power = Math.ceil(low); power <= Math.floor(high); power += Math.max(1, Math.ceil((high - low) / 6))) powers.push(power);
    const ticks = powers.length > 1 ? powers : [low, high];
    return {
      type: "heatmap", x: heat.x.length > 1 ? Array.from(heat.x) : [heat.x[0]], y: heat.rows.map((_, row) => row), z: log, text: texts,
      zmin: low, zmax: high, colorscale: "Viridis", hovertemplate: "%{text}<extra></extra>", hoverongaps: false,
      colorbar: {
        title: { text: Numbers.escape(heat.label), side: "right", font: { size: 12, color: theme.ink } }, thickness: 12, outlinewidth: 0,
        tickvals: ticks, ticktext: ticks.map((power) => Numbers.text(Number((10 ** power).toPrecision(2)))), tickfont: { size: 11, color: theme.soft },
      },
    };
  }

  function heatLayout(panel, state, theme) {
    const names = panel.heat.rows.map((name) => Numbers.escape(Numbers.shorten(name, state.narrow ? 14 : 28)));
    // Of many layers every other is named, or fewer.
    const step = Math.ceil(names.length / 24);
    const shown = names.map((_, row) => row).filter((row) => row % step === 0);
    const plain = layout({ ...panel, rows: [], marks: [], yRange: null, lines: [{ x: { [panel.axes[0][0]]: panel.heat.x }, y: [1] }] }, state, { shapes: [], annotations: [] }, theme);
    plain.yaxis = {
      ...plain.yaxis, type: "linear", range: [-0.5, names.length - 0.5], showgrid: false, ticks: "", title: { text: "" },
      tickvals: shown, ticktext: shown.map((row) => names[row]), labelalias: {},
    };
    plain.xaxis.showgrid = false;
    plain.dragmode = false;
    return plain;
  }

  function build(panel, state, seen) {
    const theme = THEMES[state.dark ? "dark" : "light"];
    if (panel.heat) {
      return { data: [heatTrace(panel.heat, panel.axes[0][1], state, theme)], layout: heatLayout(panel, state, theme) };
    }
    const parts = markParts(panel.marks, state, theme);
    return { data: [...traces(panel, state, seen), ...parts.traces], layout: layout(panel, state, parts, theme) };
  }

  return { decode, build, rawTrace };
})();
