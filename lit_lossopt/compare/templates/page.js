"use strict";
// What a reader does: theme, tables that sort, arms and axes that switch; figures are drawn when they are needed.
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const hidden = new Set();
  const drawn = new Map();
  let printing = false;

  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";

  // Theme: what the system says, until a reader says otherwise.
  function remembered() {
    try { return localStorage.getItem("lossopt-theme"); } catch { return null; }
  }
  function isDark() {
    return !printing && (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  }
  const themeButton = document.getElementById("theme");
  function setTheme(name) {
    if (name) root.dataset.theme = name;
    press(themeButton, isDark());
    drawn.forEach((figure) => figure.draw());
  }
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    const name = isDark() ? "light" : "dark";
    try { localStorage.setItem("lossopt-theme", name); } catch { /* private browsing */ }
    setTheme(name);
  });
  prefersDark.addEventListener("change", () => setTheme(null));

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
    function draw() {
      const first = !panels;
      panels ??= JSON.parse(document.getElementById(`data-${key}`).textContent).panels.map(Panels.decode);
      places.forEach((place, index) => {
        const panel = panels[index];
        place.zoomed = false;
        const { data, layout } = Panels.build(panel, state(panel), null);
        if (printing) layout.width = 660;
        Plotly.react(place, data, layout, { displayModeBar: false, responsive: true, doubleClick: "reset" });
        if (first) place.on("plotly_relayout", (event) => zoom(place, panel, event));
      });
    }
    all("[data-switch]", element).forEach((button) =>
      button.addEventListener("click", () => { press(button, !pressed(button)); show(element); }));
    all("[data-axis]", element).forEach((button) =>
      button.addEventListener("click", () => {
        all("[data-axis]", element).forEach((other) => press(other, other === button));
        show(element);
      }));
    element.querySelector("[data-reset]")?.addEventListener("click", () => show(element));
    return { draw };
  }

  const figures = new Map(all("figure[data-figure]").map((element) => [element, figure(element)]));
  function show(element) {
    drawn.set(element, figures.get(element));
    figures.get(element).draw();
  }
  function showOnce(element) {
    if (!drawn.has(element)) show(element);
  }
  all(".tools, .arms-bar").forEach((tools) => { tools.hidden = false; });
  if (figures.size === 0) all(".arms-bar").forEach((bar) => bar.remove());

  // Arms are switched in all figures at once; beyond the first few they wait to be asked for.
  all(".chip").forEach((chip, place) => {
    const look = Number(chip.dataset.look);
    if (place >= page.most) { hidden.add(look); press(chip, false); }
    chip.addEventListener("click", () => {
      const shown = !pressed(chip);
      press(chip, shown);
      if (shown) hidden.delete(look); else hidden.add(look);
      drawn.forEach((one) => one.draw());
    });
  });

  // The remembered theme first, so that nothing is drawn twice.
  setTheme(remembered());
  const watch = new IntersectionObserver((entries) =>
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => { watch.unobserve(entry.target); showOnce(entry.target); }),
  { rootMargin: "300px" });
  figures.forEach((_, element) => watch.observe(element));
  const idle = window.requestIdleCallback || ((then) => setTimeout(then, 200));
  const waiting = [...figures.keys()];
  const next = () => { const element = waiting.shift(); if (element) { showOnce(element); idle(next); } };
  idle(next);

  addEventListener("beforeprint", () => { printing = true; figures.forEach((_, element) => show(element)); });
  addEventListener("afterprint", () => { printing = false; drawn.forEach((one) => one.draw()); });
})();
