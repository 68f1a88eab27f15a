"use strict";
// What a reader does: theme, tables that sort, arms and axes that switch; figures are drawn when they are needed.
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const hidden = new Set();
  let printing = false;

  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";

  // Theme: what the system says, until a reader says otherwise.
  function remembered() {
    try { return localStorage.getItem("lossopt-theme"); } catch { return null; }
  }
  // Read once: in Chromium, reading it between a change and the event of it swallows the event.
  let systemDark = prefersDark.matches;
  function isDark() {
    return !printing && (root.dataset.theme ? root.dataset.theme === "dark" : systemDark);
  }
  const themeButton = document.getElementById("theme");
  function setTheme(name) {
    if (name) root.dataset.theme = name;
    press(themeButton, isDark());
    redrawAll();
  }
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    const name = isDark() ? "light" : "dark";
    try { localStorage.setItem("lossopt-theme", name); } catch { /* private browsing */ }
    setTheme(name);
  });
  prefersDark.addEventListener("change", (event) => { systemDark = event.matches; setTheme(null); });

  // Tables.
  function sort(table, column, heading) {
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const value = (row) => {
      const number = Number(row.cells[column].dataset.order);
      return Number.isNaN(number) ? Infinity : number;
    };
    const body = table.tBodies[0];
    [...body.rows]
      .map((row) => [value(row), row])
      .sort(([a], [b]) => (a === b ? 0 : a === Infinity ? 1 : b === Infinity ? -1 : rising ? a - b : b - a))
      .forEach(([, row]) => body.append(row));
  }
  all("table.sortable").forEach((table) =>
    all("thead th", table).forEach((heading, column) =>
      heading.querySelector("button")?.addEventListener("click", () => sort(table, column, heading))));

  // Figures.
  function figure(element) {
    const key = element.dataset.figure;
    const places = all(".plot", element);
    let panels = null;
    const state = (panel) => ({
      styles: page.styles, hidden, dark: isDark(), coarse, narrow: root.clientWidth < 700,
      axis: element.querySelector("[data-axis][aria-pressed=true]")?.dataset.axis,
      ...Object.fromEntries(["raw", "middle", "whole"].map((name) => [name, on(name, name !== "whole")])),
      xLog: panel.rows.length ? false : on("xLog", panel.xLog), yLog: panel.rows.length ? false : on("yLog", panel.yLog),
    });
    const on = (name, otherwise) => {
      const button = element.querySelector(`[data-switch=${name}]`);
      return button ? pressed(button) : otherwise;
    };
    const seen = (place, panel) => {
      const range = place._fullLayout?.xaxis?.range;
      return range && place.zoomed ? range.map((end) => (state(panel).xLog ? 10 ** end : end)) : null;
    };
    // A zoomed figure is drawn anew from all the values it shows.
    function zoom(place, panel, event) {
      if (place.quiet || !Object.keys(event).some((name) => name.startsWith("xaxis"))) return;
      place.zoomed = !("xaxis.autorange" in event);
      const now = state(panel);
      const key = (panel.axes.find(([name]) => name === now.axis) || panel.axes[0])[0];
      place.data.forEach((trace, index) => {
        if (trace.raw === undefined) return;
        const fresh = Panels.rawTrace(panel, trace.raw, key, now, seen(place, panel));
        Plotly.restyle(place, { x: [fresh.x], y: [fresh.y], text: [fresh.text] }, [index]);
      });
    }
    function draw(place) {
      panels ??= JSON.parse(document.getElementById(`data-${key}`).textContent).panels.map(Panels.decode);
      const panel = panels[places.indexOf(place)];
      const first = !place.drawn;
      place.drawn = true;
      place.zoomed = false;
      const { data, layout } = Panels.build(panel, state(panel), null);
      if (printing) layout.width = 660;
      Plotly.react(place, data, layout, { displayModeBar: false, responsive: true, doubleClick: "reset" });
      if (first) place.on("plotly_relayout", (event) => zoom(place, panel, event));
    }
    const redraw = () => places.filter((place) => place.drawn).forEach(draw);
    all("[data-switch]", element).forEach((button) =>
      button.addEventListener("click", () => { press(button, !pressed(button)); redraw(); }));
    all("[data-axis]", element).forEach((button) =>
      button.addEventListener("click", () => {
        all("[data-axis]", element).forEach((other) => press(other, other === button));
        redraw();
      }));
    element.querySelector("[data-reset]")?.addEventListener("click", redraw);
    return { draw, redraw, places };
  }

  const figures = all("figure[data-figure]").map(figure);
  const redrawAll = () => figures.forEach((one) => one.redraw());
  all(".tools, .arms-bar").forEach((tools) => { tools.hidden = false; });

  // Arms are switched in all figures at once; beyond the first few they wait to be asked for.
  all(".chip").forEach((chip, place) => {
    const look = Number(chip.dataset.look);
    if (place >= page.most) { hidden.add(look); press(chip, false); }
    chip.addEventListener("click", () => {
      const shown = !pressed(chip);
      press(chip, shown);
      if (shown) hidden.delete(look); else hidden.add(look);
      redrawAll();
    });
  });

  // The remembered theme first, so that nothing is drawn twice.
  setTheme(remembered());
  // A plot is drawn when it comes near, or when there is nothing else to do; one at a time, and while a reader scrolls
  // by, not at all: who stays gets it.
  const waiting = new Map(figures.flatMap((one) => one.places.map((place) => [place, one.draw])));
  let scrolled = -Infinity;
  addEventListener("scroll", () => { scrolled = performance.now(); }, { passive: true });
  const isScrolling = () => performance.now() - scrolled < 150;
  function drawOnce(place) {
    const draw = waiting.get(place);
    if (waiting.delete(place)) draw(place);
  }
  function near(place) {
    const { top, bottom } = place.getBoundingClientRect();
    return bottom > -300 && top < innerHeight + 300;
  }
  function drawSoon(place, patience = 5) {
    if (!near(place)) return;
    if (isScrolling() && patience > 0) setTimeout(drawSoon, 100, place, patience - 1);
    else drawOnce(place);
  }
  const watch = new IntersectionObserver((entries) =>
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => setTimeout(drawSoon, 0, entry.target)),
  { rootMargin: "300px" });
  waiting.forEach((_, place) => watch.observe(place));
  const idle = window.requestIdleCallback || ((then) => setTimeout(then, 200));
  function next() {
    if (isScrolling()) { setTimeout(next, 200); return; }
    const [place] = waiting.keys();
    if (place) { drawOnce(place); idle(next); }
  }
  idle(next);

  addEventListener("beforeprint", () => { printing = true; redrawAll(); [...waiting.keys()].forEach(drawOnce); });
  addEventListener("afterprint", () => { printing = false; redrawAll(); });
})();
