// Charts of the page: drawn by uPlot, one time range and one cursor for all.

import uPlot from "uplot";
import { ask, Lines, Refused, wasCancelled } from "./api";
import { element, find } from "./dom";
import { day, increments, moment, quantity, span, timeOfDay } from "./format";
import { ns, Range, range, setRange } from "./range";

/** Told apart by eyes of all kinds (Okabe and Ito), in the theme's shades; the second of a pair is dashed. */
const COLOURS = 8;
const DAY_MS = 86_400e3;

export interface Chart {
  name: string;
  root: HTMLElement;
  plot: uPlot | null;
  lines: Lines | null;
  yesterday: Lines | null;
  hidden: Set<string>;
}

export const charts: Chart[] = [];
let comparing = false;
let onMoment: (at_ms: number, chart: Chart) => void = () => {};
let drawMarks: (plot: uPlot) => void = () => {};

export function setMoment(listener: typeof onMoment): void {
  onMoment = listener;
}

export function setMarks(draw: typeof drawMarks): void {
  drawMarks = draw;
}

export function collectCharts(): void {
  for (const root of document.querySelectorAll<HTMLElement>("[data-chart]")) {
    charts.push({
      name: root.dataset["chart"] ?? "",
      root,
      plot: null,
      lines: null,
      yesterday: null,
      hidden: new Set(),
    });
  }
  const resize = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const chart = charts.find((one) => one.root.contains(entry.target));
      const width = Math.floor(entry.contentRect.width);
      if (chart?.plot && width > 0) chart.plot.setSize({ width, height: heightOf(chart) });
    }
  });
  for (const chart of charts) resize.observe(find(".plot", chart.root));
}

export function compareWithYesterday(on: boolean): Promise<void> {
  comparing = on;
  return load();
}

export async function load(): Promise<void> {
  await Promise.all(charts.map(loadOne));
}

async function loadOne(chart: Chart): Promise<void> {
  const shown = range();
  const root = chart.root;
  root.setAttribute("aria-busy", "true");
  try {
    const width = Math.max(200, Math.round(find(".plot", root).clientWidth));
    const points = String(Math.min(1500, Math.max(150, Math.round(width * 0.7))));
    const of = root.dataset["of"];
    const about: Record<string, string> = of === undefined ? { points } : { points, of };
    const parameters = { since: ns(shown.from_ms), until: ns(shown.to_ms), ...about };
    const path = `/api/charts/${encodeURIComponent(chart.name)}`;
    const [lines, yesterday] = await Promise.all([
      ask<Lines>(path, parameters, `chart ${chart.name}`),
      comparing
        ? ask<Lines>(
            path,
            { since: ns(shown.from_ms - DAY_MS), until: ns(shown.to_ms - DAY_MS), ...about },
            `yesterday ${chart.name}`,
          )
        : null,
    ]);
    chart.lines = lines;
    chart.yesterday = yesterday;
    say(chart, lines.times_ms.length === 0 ? "Nothing was recorded in this time." : "");
    draw(chart, shown);
    if (performance.getEntriesByName("first-chart").length === 0) performance.mark("first-chart");
  } catch (error) {
    if (wasCancelled(error)) return;
    if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
    say(chart, error instanceof Refused ? error.message : "The server does not answer.");
  }
  root.removeAttribute("aria-busy");
}

function say(chart: Chart, text: string): void {
  find(".note", chart.root).textContent = text;
}

function heightOf(chart: Chart): number {
  return chart.root.classList.contains("tall") ? 260 : 170;
}

/** Values of one day earlier at the moments of the chart. */
function earlier(lines: Lines, yesterday: Lines, label: string): (number | null)[] {
  const column = yesterday.labels.indexOf(label);
  if (column < 0) return lines.times_ms.map(() => null);
  const reach = Math.max(1500, (lines.step_ns / 1e6) * 1.5);
  let place = 0;
  return lines.times_ms.map((at) => {
    const wanted = at - DAY_MS;
    while (
      place + 1 < yesterday.times_ms.length &&
      Math.abs((yesterday.times_ms[place + 1] ?? 0) - wanted) <= Math.abs((yesterday.times_ms[place] ?? 0) - wanted)
    ) {
      place += 1;
    }
    const found = yesterday.times_ms[place];
    return found !== undefined && Math.abs(found - wanted) <= reach ? (yesterday.values[column]?.[place] ?? null) : null;
  });
}

function isStacked(chart: Chart): boolean {
  return chart.root.dataset["stacked"] === "true";
}

/** The columns that are drawn: of a stack sums from below, greatest first; then those of the day before. */
function columnsOf(chart: Chart): { data: uPlot.AlignedData; order: number[]; ghosts: number[] } {
  const lines = chart.lines;
  if (lines === null) return { data: [[]], order: [], ghosts: [] };
  let shown = lines.labels.map((_, place) => place);
  const columns: (number | null)[][] = [];
  if (isStacked(chart)) {
    const sums = lines.times_ms.map(() => 0);
    const known = lines.times_ms.map(() => false);
    for (const place of shown) {
      const visible = !chart.hidden.has(lines.labels[place] ?? "");
      columns.push(
        (lines.values[place] ?? []).map((value, at) => {
          if (value !== null) {
            known[at] = true;
            if (visible) sums[at] = (sums[at] ?? 0) + value;
          }
          return known[at] && value !== null ? (sums[at] ?? 0) : null;
        }),
      );
    }
    columns.reverse();
    shown = shown.reverse();
  } else {
    columns.push(...lines.values);
  }
  const ghosts: number[] = [];
  if (chart.yesterday !== null && !isStacked(chart)) {
    for (const place of shown) {
      ghosts.push(place);
      columns.push(earlier(lines, chart.yesterday, lines.labels[place] ?? ""));
    }
  }
  if (chart.yesterday !== null && isStacked(chart)) {
    const sums = lines.times_ms.map(() => null as number | null);
    for (const label of lines.labels) {
      earlier(lines, chart.yesterday, label).forEach((value, at) => {
        if (value !== null) sums[at] = (sums[at] ?? 0) + value;
      });
    }
    ghosts.push(0);
    columns.push(sums);
  }
  return { data: [lines.times_ms, ...columns] as uPlot.AlignedData, order: shown, ghosts };
}

function style(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function colourOf(chart: Chart, place: number): string {
  const perEntity = Number(chart.root.dataset["perEntity"] ?? "0");
  const number = perEntity > 1 ? Math.floor(place / perEntity) : place;
  return style(`--line-${number % COLOURS}`);
}

function dashOf(chart: Chart, place: number): number[] | undefined {
  const perEntity = Number(chart.root.dataset["perEntity"] ?? "0");
  return perEntity > 1 && place % perEntity > 0 ? [5, 3] : undefined;
}

function seriesOf(chart: Chart, order: number[], ghosts: number[]): uPlot.Series[] {
  const lines = chart.lines;
  const series: uPlot.Series[] = [{}];
  for (const place of order) {
    const label = lines?.labels[place] ?? "";
    const colour = colourOf(chart, place);
    series.push({
      label,
      stroke: colour,
      width: isStacked(chart) ? 1 : 1.5,
      dash: dashOf(chart, place),
      fill: isStacked(chart) ? colour : undefined,
      show: !chart.hidden.has(label),
      points: { show: false },
      spanGaps: false,
    });
  }
  for (const place of ghosts) {
    const label = isStacked(chart) ? "all" : (lines?.labels[place] ?? "");
    series.push({
      label: `${label}, a day before`,
      stroke: isStacked(chart) ? style("--ink-2") : `${colourOf(chart, place)}88`,
      width: 1,
      dash: [2, 3],
      show: !chart.hidden.has(label),
      points: { show: false },
    });
  }
  return series;
}

function draw(chart: Chart, shown: Range): void {
  const { data, order, ghosts } = columnsOf(chart);
  const wanted = `${chart.lines?.labels.join("\n")}|${ghosts.length}|${[...chart.hidden].join("\n")}`;
  if (chart.plot !== null && chart.root.dataset["drawn"] === wanted) {
    chart.plot.setData(data, false);
  } else {
    chart.root.dataset["drawn"] = wanted;
    chart.plot?.destroy();
    const place = find(".plot", chart.root);
    chart.plot = new uPlot(optionsOf(chart, order, ghosts, place), data, place);
    legend(chart);
  }
  showRange(chart, shown);
  describe(chart);
}

function showRange(chart: Chart, shown: Range): void {
  chart.plot?.setScale("x", { min: shown.from_ms, max: shown.to_ms });
}

function optionsOf(chart: Chart, order: number[], ghosts: number[], place: HTMLElement): uPlot.Options {
  const unit = chart.lines?.unit ?? "";
  const grid = { stroke: style("--grid"), width: 1 };
  const axis = { stroke: style("--ink-2"), grid, ticks: { ...grid, size: 4 }, font: "11px system-ui, sans-serif" };
  return {
    width: Math.max(200, Math.floor(place.clientWidth)),
    height: heightOf(chart),
    ms: 1,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: "all" },
      drag: { x: true, y: false, setScale: false, dist: 4 },
      points: { size: 6 },
    },
    select: { show: true, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, range: (_plot, low, high) => [low, high] },
      y: {
        range: (_plot, low, high) => {
          const top = Math.max(high ?? 0, unit === "%" ? 1 : 0);
          return [Math.min(low ?? 0, 0), top === 0 ? 1 : unit === "%" && top > 90 && top <= 101 ? 100 : top * 1.08];
        },
      },
    },
    axes: [
      { ...axis, space: 70, values: timeMarks },
      {
        ...axis,
        size: 72,
        space: 34,
        incrs: increments(unit),
        values: (_plot, marks) => marks.map((mark) => (mark === null ? "" : quantity(mark, unit))),
      },
    ],
    series: seriesOf(chart, order, ghosts),
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          const from_ms = plot.posToVal(left, "x");
          const to_ms = plot.posToVal(left + width, "x");
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          setRange({ from_ms, to_ms, live: false });
        },
      ],
      setCursor: [(plot) => readOut(chart, plot)],
      draw: [(plot) => drawMarks(plot)],
      ready: [
        (plot) => {
          let down = 0;
          plot.over.addEventListener("pointerdown", (event) => (down = event.clientX));
          plot.over.addEventListener("click", (event) => {
            if (Math.abs(event.clientX - down) > 3) return;
            onMoment(plot.posToVal(event.offsetX, "x"), chart);
          });
          plot.over.addEventListener("dblclick", () => onMoment(Number.NaN, chart));
        },
      ],
    },
  };
}

/** Times on the axis in the zone of the person; the date where the day changes. */
function timeMarks(_plot: uPlot, marks: number[]): string[] {
  let last = "";
  const whole = marks.every((mark) => mark % 60_000 === 0);
  const days = marks.every((mark) => timeOfDay(mark) === "00:00:00");
  return marks.map((mark) => {
    const date = day(mark);
    const time = days ? "" : whole ? timeOfDay(mark).slice(0, 5) : timeOfDay(mark);
    const text = date === last ? time : `${time}\n${date}`.trim();
    last = date;
    return text;
  });
}

/** The values under the cursor, in the legend; without a cursor the last ones. */
function readOut(chart: Chart, plot: uPlot): void {
  const lines = chart.lines;
  if (lines === null) return;
  const at = plot.cursor.idx ?? lines.times_ms.length - 1;
  const when = lines.times_ms[at];
  const step = lines.step_ns >= 2e9 ? `, means over ${span(lines.step_ns / 1e6)}` : "";
  find(".at", chart.root).textContent = when === undefined ? "" : `${moment(when)}${step}`;
  const values = chart.root.querySelectorAll<HTMLElement>(".legend [data-line]");
  values.forEach((value) => {
    const place = Number(value.dataset["line"]);
    value.textContent = quantity(lines.values[place]?.[at], lines.unit);
  });
}

function legend(chart: Chart): void {
  const list = find(".legend", chart.root);
  const lines = chart.lines;
  list.replaceChildren();
  if (lines === null) return;
  lines.labels.forEach((label, place) => {
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.setProperty("--swatch", colourOf(chart, place));
    if (dashOf(chart, place) !== undefined && !isStacked(chart)) swatch.classList.add("dashed");
    const shown = !chart.hidden.has(label);
    const button = element(
      "button",
      { type: "button", "aria-pressed": String(shown), title: "Show or hide this line" },
      swatch,
      element("span", { class: "name" }, label),
      element("span", { class: "value", "data-line": String(place) }, ""),
    );
    button.addEventListener("click", () => {
      if (!chart.hidden.delete(label)) chart.hidden.add(label);
      draw(chart, range());
      find<HTMLElement>(`[data-line="${place}"]`, chart.root).closest("button")?.focus();
    });
    list.append(element("li", {}, button));
  });
  if (lines.left_out > 0) list.append(element("li", { class: "quiet" }, `${lines.left_out} more that did less, or nothing`));
}

/** What the picture shows, in words. */
function describe(chart: Chart): void {
  const lines = chart.lines;
  if (lines === null) return;
  const parts = lines.labels.map((label, place) => {
    const known = (lines.values[place] ?? []).filter((value): value is number => value !== null);
    const last = known.at(-1);
    if (last === undefined) return `${label} not known`;
    const most = known.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    return `${label} last ${quantity(last, lines.unit)}, most ${quantity(most, lines.unit)}`;
  });
  const title = find("h2", chart.root).textContent ?? "";
  find(".plot", chart.root).setAttribute("aria-label", `${title}: ${parts.join("; ")}`);
  if (chart.plot !== null) readOut(chart, chart.plot);
}

/** Adds what a live stream brings, and moves the range. */
export function append(name: string, times_ms: number[], labels: string[], values: (number | null)[][]): void {
  const chart = charts.find((one) => one.name === name);
  const lines = chart?.lines;
  if (chart === undefined || lines === null || lines === undefined) return;
  for (const label of labels) {
    if (lines.labels.includes(label)) continue;
    lines.labels.push(label);
    lines.values.push(lines.times_ms.map(() => null));
  }
  times_ms.forEach((at, number) => {
    let place = lines.times_ms.length;
    while (place > 0 && (lines.times_ms[place - 1] ?? 0) >= at) place -= 1;
    const known = lines.times_ms[place] === at;
    if (!known) lines.times_ms.splice(place, 0, at);
    lines.labels.forEach((label, line) => {
      const column = labels.indexOf(label);
      const value = column < 0 ? null : (values[column]?.[number] ?? null);
      const row = lines.values[line];
      if (row === undefined) return;
      if (!known) row.splice(place, 0, value);
      else if (value !== null) row[place] = value;
    });
  });
}

export function redraw(): void {
  const shown = range();
  for (const chart of charts) {
    const lines = chart.lines;
    if (lines === null) continue;
    const first = lines.times_ms.findIndex((at) => at >= shown.from_ms - lines.step_ns / 1e6);
    if (first > 60) {
      lines.times_ms.splice(0, first);
      for (const column of lines.values) column.splice(0, first);
    }
    if (chart.plot !== null) draw(chart, shown);
  }
}

/** Draws all anew, as after a change of the theme. */
export function repaint(): void {
  for (const chart of charts) {
    delete chart.root.dataset["drawn"];
    if (chart.lines !== null) draw(chart, range());
  }
}

export function redrawMarks(): void {
  for (const chart of charts) chart.plot?.redraw(false);
}
