"use strict";
// The surface, the map and the curves of a landscape, and the walkers that move over all three.
(() => {
  const scene = JSON.parse(document.getElementById("scene-data").textContent);
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const press = (button, on) => button?.setAttribute("aria-pressed", String(on));
  const pressed = (button) => button?.getAttribute("aria-pressed") === "true";
  const THEMES = {
    light: {
      ink: "#1c1e21", soft: "#595e66", grid: "#dcdedb", paper: "#fdfdfc", raised: "#ffffff", line: "#7d8ca0", halo: "#ffffff",
      ground: [[0, "#7fa9d1"], [0.25, "#b3cfe3"], [0.5, "#dde6e3"], [0.75, "#f1e6cd"], [1, "#f3dcb6"]],
    },
    dark: {
      ink: "#e8e9eb", soft: "#a6acb5", grid: "#343a42", paper: "#14161a", raised: "#23272d", line: "#8494a8", halo: "#14161a",
      ground: [[0, "#0d3a63"], [0.25, "#1f4a68"], [0.5, "#40565f"], [0.75, "#6a6250"], [1, "#84714d"]],
    },
  };
  const [x, y, losses] = [scene.x, scene.y, scene.losses].map(Numbers.unpack);
  const walks = scene.walks.map((walk) => {
    const columns = ["steps", "x", "y", "losses", "on_plane", "distances", "logged_steps", "logged"];
    return { ...walk, ...Object.fromEntries(columns.map((key) => [key, Numbers.unpack(walk[key])])) };
  });
  const last = Math.max(0, ...walks.map((walk) => walk.steps[walk.steps.length - 1]));
  const height = (loss) => {
    const cut = Math.min(Math.max(loss, scene.low), scene.high);
    return scene.log ? Math.log10(cut) : cut;
  };
  // A true loss may be above what the ground is cut off at, up to the top of the figure.
  const above = (loss) => {
    const value = scene.log ? Math.log10(Math.max(loss, 1e-30)) : loss;
    return Math.min(value, highest + 0.3 * (highest - lowest));
  };
  const z = Array.from(y, (_, row) => Array.from(x, (_, column) => {
    const loss = losses[row * x.length + column];
    return Number.isFinite(loss) ? height(loss) : null;
  }));
  const raw = Array.from(y, (_, row) => Array.from(x, (_, column) => losses[row * x.length + column]));
  const [lowest, highest] = [height(scene.low), height(scene.high)];
  const lift = 0.012 * (highest - lowest || 1);
  const hidden = new Set();
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  let systemDark = prefersDark.matches;
  let printing = false;
  let now = last;
  let playing = null;

  const isDark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : systemDark);
  const theme = () => THEMES[isDark() ? "dark" : "light"];
  const colour = (walk) => scene.styles[walk.look][isDark() ? "dark" : "colour"];
  const shown = () => walks.filter((walk) => !hidden.has(walk.look));

  // The height of the drawn ground at a place.
  function ground(px, py) {
    const across = (axis, value) => {
      const part = (value - axis[0]) / (axis[axis.length - 1] - axis[0]) * (axis.length - 1);
      const cell = Math.min(Math.max(Math.floor(part), 0), axis.length - 2);
      return [cell, part - cell];
    };
    const [[column, dx], [row, dy]] = [across(x, px), across(y, py)];
    const corner = (r, c) => z[r][c] ?? highest;
    return (corner(row, column) * (1 - dx) + corner(row, column + 1) * dx) * (1 - dy)
      + (corner(row + 1, column) * (1 - dx) + corner(row + 1, column + 1) * dx) * dy;
  }

  // Where a walker is at a step: between snapshots it goes straight on.
  function at(walk, step) {
    const steps = walk.steps;
    const end = steps.length - 1;
    let i = 0;
    while (i < end && steps[i + 1] <= step) i++;
    const part = i < end ? Math.max(0, (step - steps[i]) / (steps[i + 1] - steps[i])) : 0;
    const between = (values) => (i < end ? values[i] + part * (values[i + 1] - values[i]) : values[i]);
    return { done: i, between: part > 0 && part < 1, step: Math.min(step, steps[end]), x: between(walk.x), y: between(walk.y), loss: between(walk.losses), plane: between(walk.on_plane), distance: between(walk.distances) };
  }

  // The way that was gone until a step, on the ground.
  function gone(walk, step) {
    const here = at(walk, step);
    const xs = [...walk.x.slice(0, here.done + 1), here.x];
    const ys = [...walk.y.slice(0, here.done + 1), here.y];
    return { x: xs, y: ys, z: xs.map((value, i) => ground(value, ys[i]) + lift), here };
  }

  const words = (walk, here) => `<b>${Numbers.escape(walk.name)}</b><br>step ${Math.round(here.step)}${here.between ? ", between two snapshots" : ""}<br>true loss ${Numbers.text(here.loss)}<br>on the plane ${Numbers.text(here.plane)}<br>off the plane by ${Numbers.text(here.distance)}`;
  const wholeWay = (walk) => ({ x: Array.from(walk.x), y: Array.from(walk.y), z: Array.from(walk.x, (value, i) => ground(value, walk.y[i]) + lift) });

  // What moves, in the order of its traces: the way, the walker, the plumb line, the true loss.
  function moving(walk, step) {
    const way = gone(walk, step);
    const here = way.here;
    const [foot, truth] = [way.z[way.z.length - 1], above(here.loss)];
    return {
      way,
      walker: { x: [here.x], y: [here.y], z: [foot + lift], text: [words(walk, here)] },
      plumb: { x: [here.x, here.x], y: [here.y, here.y], z: [foot, truth] },
      truth: { x: [here.x], y: [here.y], z: [truth], text: [words(walk, here)] },
    };
  }

  const relief = document.getElementById("plot-relief");
  const map = document.getElementById("plot-map");
  const curves = document.getElementById("plot-curves");
  const truthOn = () => pressed(document.querySelector("[data-switch=truth]"));
  const narrow = () => root.clientWidth < 700;
  const config = { displayModeBar: false, responsive: true };
  // Of eight sides the one with the lowest rim in front, so that no wall hides the valley.
  function bestSide() {
    const border = [];
    z.forEach((row, r) => row.forEach((value, c) => {
      if (r === 0 || c === 0 || r === y.length - 1 || c === x.length - 1) {
        border.push([2 * c / (x.length - 1) - 1, 2 * r / (y.length - 1) - 1, value ?? highest]);
      }
    }));
    const rim = (angle) => {
      let [sum, weight] = [0, 0];
      for (const [bx, by, value] of border) {
        const facing = Math.max(0, bx * Math.cos(angle) + by * Math.sin(angle)) ** 2;
        sum += facing * value;
        weight += facing;
      }
      return sum / weight;
    };
    const angles = [-53, -8, 37, 82, 127, 172, 217, 262].map((degrees) => degrees * Math.PI / 180);
    return angles.reduce((best, angle) => (rim(angle) < rim(best) - 0.02 * (highest - lowest) ? angle : best));
  }
  const side = bestSide();
  const HOME = { eye: { x: 1.52 * Math.cos(side), y: 1.52 * Math.sin(side), z: 1.05 }, center: { x: 0, y: 0, z: -0.08 }, up: { x: 0, y: 0, z: 1 } };
  const ABOVE = { eye: { x: 0, y: -0.01, z: 2.1 }, center: { x: 0, y: 0, z: 0 }, up: { x: 0, y: 1, z: 0 } };
  let camera = HOME;

  function ticks() {
    const most = narrow() ? 4 : 7;
    const inside = scene.levels.filter((level) => level >= scene.low && level <= scene.high);
    const every = Math.ceil(inside.length / most);
    const kept = inside.filter((_, i) => i % every === 0);
    return { tickvals: kept.map(height), ticktext: kept.map((level) => Numbers.text(level)) };
  }

  function drawRelief() {
    const look = theme();
    const marks = scene.levels.map(height);
    const surface = {
      type: "surface", x: Array.from(x), y: Array.from(y), z, surfacecolor: z, cmin: lowest, cmax: highest, colorscale: look.ground,
      showscale: false, opacity: 0.82, text: z.map((row, i) => row.map((_, j) => `loss ${Numbers.text(losses[i * x.length + j])}`)),
      hovertemplate: "%{text}<extra></extra>",
      lighting: { ambient: 0.72, diffuse: 0.55, specular: 0.06, roughness: 0.9, fresnel: 0.05 }, lightposition: { x: -1500, y: -2500, z: 4000 },
      contours: { z: { show: true, start: lowest, end: highest, size: (highest - lowest) / Math.max(8, marks.length), color: look.line, width: 1.5, usecolormap: false } },
    };
    const data = [surface];
    for (const walk of shown()) {
      const parts = moving(walk, now);
      const tint = colour(walk);
      data.push({ type: "scatter3d", mode: "lines", ...wholeWay(walk), line: { color: tint, width: 3 }, opacity: 0.35, hoverinfo: "skip" });
      data.push({ type: "scatter3d", mode: "lines", x: parts.way.x, y: parts.way.y, z: parts.way.z, line: { color: tint, width: 8 }, hoverinfo: "skip" });
      data.push({ type: "scatter3d", mode: "markers", ...parts.walker, marker: { color: tint, size: 7.5, line: { color: look.halo, width: 2 } }, hovertemplate: "%{text}<extra></extra>" });
      data.push({ type: "scatter3d", mode: "lines", ...parts.plumb, line: { color: tint, width: 4, dash: "dot" }, hoverinfo: "skip", visible: truthOn() });
      data.push({ type: "scatter3d", mode: "markers", ...parts.truth, marker: { color: look.paper, size: 5, line: { color: tint, width: 3 } }, hovertemplate: "%{text}<extra></extra>", visible: truthOn() });
    }
    const axis = { color: look.soft, gridcolor: look.grid, backgroundcolor: "rgba(0,0,0,0)", showbackground: false, zeroline: false, title: { text: "" }, tickfont: { size: 11 }, nticks: narrow() ? 4 : 7 };
    const [wide, deep] = [x[x.length - 1] - x[0], y[y.length - 1] - y[0]];
    const longest = Math.max(wide, deep);
    const truths = truthOn() ? walks.flatMap((walk) => Array.from(walk.losses, above)) : [];
    const [bottom, top] = [Math.min(lowest, ...truths), Math.max(highest, ...truths)];
    const layout = {
      scene: {
        xaxis: { ...axis }, yaxis: { ...axis }, zaxis: { ...axis, ...ticks(), range: [bottom - 2 * lift, top + 4 * lift] },
        aspectmode: "manual", aspectratio: { x: 1.25 * wide / longest, y: 1.25 * deep / longest, z: 0.62 }, camera, dragmode: "turntable",
      },
      showlegend: false, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", uirevision: "camera",
      hoverlabel: { bgcolor: look.raised, bordercolor: look.soft, font: { color: look.ink, size: 13 }, align: "left" },
      font: { family: getComputedStyle(document.body).fontFamily, color: look.ink },
    };
    Plotly.react(relief, data, layout, { ...config, scrollZoom: !coarse });
  }

  const flatAxis = (look, title) => ({
    gridcolor: look.grid, linecolor: look.soft, tickcolor: look.soft, zeroline: false, automargin: true, showline: true, ticks: "outside",
    ticklen: 4, tickfont: { color: look.soft, size: 12 }, title: { text: Numbers.escape(title), font: { size: 13, color: look.ink }, standoff: 8 },
  });
  const flatLayout = (look) => ({
    showlegend: false, margin: { l: 12, r: 14, t: 12, b: 12 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
    dragmode: coarse ? false : "zoom", font: { family: getComputedStyle(document.body).fontFamily, color: look.ink },
    hoverlabel: { bgcolor: look.raised, bordercolor: look.soft, font: { color: look.ink, size: 13 }, align: "left" }, ...(printing ? { width: 640 } : {}),
  });

  function drawMap() {
    const look = theme();
    const text = z.map((row, i) => row.map((_, j) => `loss ${Numbers.text(losses[i * x.length + j])}`));
    const data = [{ type: "heatmap", x: Array.from(x), y: Array.from(y), z, zmin: lowest, zmax: highest, colorscale: look.ground, zsmooth: "best", showscale: false, text, hovertemplate: "%{text}<extra></extra>" }];
    // One line a level: levels need not be evenly spaced.
    for (const level of scene.levels) {
      data.push({
        type: "contour", x: Array.from(x), y: Array.from(y), z: raw, showscale: false, hoverinfo: "skip", line: { color: look.line, width: 1 },
        contours: { type: "constraint", operation: "=", value: level, showlabels: true, labelformat: "~g", labelfont: { size: 10, color: look.soft }, coloring: "none" },
      });
    }
    for (const walk of shown()) {
      const tint = colour(walk);
      const said = Array.from(walk.steps, (step) => words(walk, at(walk, step)));
      data.push({ mode: "lines+markers", x: Array.from(walk.x), y: Array.from(walk.y), text: said, line: { color: tint, width: 1.5 }, marker: { color: tint, size: 3 }, opacity: 0.5, hovertemplate: "%{text}<extra></extra>" });
    }
    const annotations = walks.length ? [{ x: walks[0].x[0], y: walks[0].y[0], text: "start", showarrow: false, xanchor: "right", yanchor: "bottom", xshift: narrow() ? 10 : -6, yshift: narrow() ? 4 : 0, font: { size: 12, color: look.ink } }] : [];
    Plotly.react(map, data, {
      ...flatLayout(look), annotations,
      xaxis: { ...flatAxis(look, scene.labels[0]), constrain: "domain", showgrid: false, range: [x[0], x[x.length - 1]] },
      yaxis: { ...flatAxis(look, scene.labels[1]), scaleanchor: "x", constrain: "domain", showgrid: false, range: [y[0], y[y.length - 1]] },
    }, config);
  }

  function drawCurves() {
    if (!curves) return;
    const look = theme();
    const positive = walks.every((walk) => [...walk.losses, ...walk.on_plane].every((loss) => loss > 0));
    const data = [];
    for (const walk of shown()) {
      const tint = colour(walk);
      const text = Array.from(walk.steps, (step) => words(walk, at(walk, step)));
      data.push({ x: Array.from(walk.steps), y: Array.from(walk.losses), text, mode: "lines", line: { color: tint, width: 2.2 }, hovertemplate: "%{text}<extra></extra>" });
      data.push({ x: Array.from(walk.steps), y: Array.from(walk.on_plane), mode: "lines", line: { color: tint, width: 1.4, dash: "dot" }, hoverinfo: "skip" });
      data.push({ x: Array.from(walk.logged_steps), y: Array.from(walk.logged), mode: "markers", marker: { color: tint, size: 4, symbol: "x-thin-open" }, opacity: 0.55, hovertemplate: "logged at step %{x}: %{y:.4g}<extra></extra>" });
    }
    const yaxis = flatAxis(look, scene.lossName);
    const ends = Numbers.ends(walks.flatMap((walk) => [...walk.losses, ...walk.on_plane]).filter((value) => value > 0));
    const scale = positive ? { type: "log", tickformat: "~g", dtick: Math.log10(ends[1] / ends[0]) > 2.5 ? 1 : "D2" } : {};
    Plotly.react(curves, data, { ...flatLayout(look), xaxis: flatAxis(look, "step"), yaxis: { ...yaxis, ...scale } }, config);
  }

  // Plotly computes every trace of a figure anew when one of them changes, far too slowly for a film. So what moves over
  // the flat figures is drawn by hand, and on the relief only the traces that move are told.
  function overlay(place) {
    const { xaxis, yaxis } = place._fullLayout;
    place.style.position = "relative";
    place.layer ??= place.appendChild(document.createElementNS(SVG, "svg"));
    if (place.layer.parentNode !== place) place.append(place.layer);
    const box = { left: xaxis._offset, top: yaxis._offset, width: xaxis._length, height: yaxis._length };
    place.layer.setAttribute("class", "walkers");
    for (const [side, value] of Object.entries(box)) place.layer.style[side] = `${value}px`;
    return { layer: place.layer, px: (value) => xaxis.d2p(value), py: (value) => yaxis.d2p(value) };
  }
  const SVG = "http://www.w3.org/2000/svg";
  const shapes = {
    circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
    square: (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
    diamond: (r) => `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0z`,
    "triangle-up": (r) => `M0,${-1.2 * r}L${1.1 * r},${r * 0.8}L${-1.1 * r},${r * 0.8}z`,
    "triangle-down": (r) => `M0,${1.2 * r}L${1.1 * r},${-r * 0.8}L${-1.1 * r},${-r * 0.8}z`,
  };
  function drawn(attributes) {
    const path = document.createElementNS(SVG, "path");
    for (const [name, value] of Object.entries(attributes)) path.setAttribute(name, value);
    return path;
  }
  function moveOver(place, parts, way, spot) {
    const { layer, px, py } = overlay(place);
    const halo = theme().halo;
    layer.replaceChildren(...parts.flatMap(({ walk, part }) => {
      const tint = colour(walk);
      const [sx, sy] = spot(part);
      const symbol = (shapes[scene.styles[walk.look].marker] || shapes.circle)(6);
      const marker = drawn({ d: symbol, transform: `translate(${px(sx)},${py(sy)})`, fill: tint, stroke: halo, "stroke-width": 1.5, "data-x": sx, "data-y": sy });
      if (!way) return [marker];
      const line = part.way.x.map((value, i) => `${i ? "L" : "M"}${px(value).toFixed(1)},${py(part.way.y[i]).toFixed(1)}`).join("");
      return [drawn({ d: line, fill: "none", stroke: halo, "stroke-width": 5, "stroke-opacity": 0.6 }), drawn({ d: line, fill: "none", stroke: tint, "stroke-width": 3 }), marker];
    }));
  }
  function moveRelief(parts) {
    const inside = relief._fullLayout.scene?._scene;
    const changes = parts.flatMap(({ part }, i) =>
      ["way", "walker", "plumb", "truth"].map((kind, k) => [2 + 5 * i + k, part[kind]]));
    for (const [index, { x: xs, y: ys, z: zs, text }] of changes) {
      const change = { x: xs, y: ys, z: zs, ...(text ? { text } : {}) };
      Object.assign(relief.data[index], change);
      const full = relief._fullData[index];
      const trace = inside?.traces?.[full.uid];
      if (!trace?.update) continue;
      Object.assign(full, change);
      if (full.visible === true) trace.update(full);
    }
    if (inside?.glplot?.redraw) inside.glplot.redraw();
    else Plotly.redraw(relief);
  }
  function move(step) {
    now = step;
    const slider = document.getElementById("step");
    if (!slider) return;
    slider.value = step;
    document.getElementById("step-text").textContent = `step ${Math.round(step)}`;
    const parts = shown().map((walk) => ({ walk, part: moving(walk, step) }));
    if (relief.ready && !printing && seen(relief)) moveRelief(parts);
    if (seen(map)) moveOver(map, parts, true, (part) => [part.way.here.x, part.way.here.y]);
    if (seen(curves)) moveOver(curves, parts, false, (part) => [part.way.here.step, part.way.here.loss]);
  }
  function seen(place) {
    const { top, bottom } = place.getBoundingClientRect();
    return printing || (bottom > 0 && top < innerHeight);
  }

  function drawAll() {
    if (relief.ready !== false) {
      try {
        drawRelief();
        relief.ready = true;
      } catch {
        relief.ready = false;
      }
    }
    drawMap();
    drawCurves();
    move(now);
  }
  // A figure that comes into sight, or that was zoomed, shows where the walkers are now.
  addEventListener("scroll", () => { if (!playing) move(now); }, { passive: true });
  addEventListener("resize", () => setTimeout(() => move(now), 300));

  // Playing: the whole way in twelve seconds.
  const SECONDS = 12;
  const SLOWEST = 0.1;
  const play = document.getElementById("play");
  function stop() {
    playing = null;
    press(play, false);
    if (play) play.textContent = "Play";
    move(now);
  }
  function frame(time, film) {
    // One that was paused and played again has a new film, and the old one ends.
    if (!playing || playing !== film) return;
    playing.before ??= time;
    // A slow machine plays more slowly, and leaves nothing out.
    const step = now + Math.min((time - playing.before) / 1000, SLOWEST) / SECONDS * last;
    playing.before = time;
    move(Math.min(step, last));
    if (step >= last) stop();
    else requestAnimationFrame((next) => frame(next, film));
  }
  play?.addEventListener("click", () => {
    if (playing) { stop(); return; }
    if (now >= last) now = 0;
    const film = playing = {};
    press(play, true);
    play.textContent = "Pause";
    requestAnimationFrame((next) => frame(next, film));
  });
  document.getElementById("step")?.addEventListener("input", (event) => {
    if (playing) stop();
    move(Number(event.target.value));
  });

  // Theme: what the system says, until a reader says otherwise.
  const themeButton = document.getElementById("theme");
  themeButton.hidden = false;
  function setTheme(name) {
    if (name) root.dataset.theme = name;
    press(themeButton, isDark());
    drawAll();
  }
  themeButton.addEventListener("click", () => {
    const name = isDark() ? "light" : "dark";
    try { localStorage.setItem("lossopt-theme", name); } catch { /* private browsing */ }
    setTheme(name);
  });
  prefersDark.addEventListener("change", (event) => { systemDark = event.matches; setTheme(null); });
  all(".arms-bar, .tools, .player").forEach((element) => { element.hidden = false; });
  all(".chip").forEach((button) => button.addEventListener("click", () => {
    const look = Number(button.dataset.look);
    if (pressed(button)) hidden.add(look); else hidden.delete(look);
    press(button, !pressed(button));
    drawAll();
  }));
  document.querySelector("[data-switch=truth]")?.addEventListener("click", (event) => {
    press(event.currentTarget, !pressed(event.currentTarget));
    drawRelief();
  });
  all("[data-view]").forEach((button) => button.addEventListener("click", () => {
    camera = button.dataset.view === "above" ? ABOVE : HOME;
    Plotly.relayout(relief, { "scene.camera": camera });
  }));

  function hasWebGL() {
    try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
  }
  if (!hasWebGL()) {
    relief.ready = false;
    relief.hidden = true;
    document.getElementById("no-webgl").hidden = false;
  }
  let theirs = null;
  try { theirs = localStorage.getItem("lossopt-theme"); } catch { /* private browsing */ }
  setTheme(theirs);
  for (const place of [map, curves]) place?.on?.("plotly_afterplot", () => move(now));
  addEventListener("beforeprint", () => { printing = true; if (playing) stop(); drawMap(); drawCurves(); move(now); });
  addEventListener("afterprint", () => { printing = false; drawAll(); });
})();
