// A click on a spike: the processes of that second, and the way to the diagnosis of the minute about it.

import type uPlot from "uplot";
import { ask, Refused, wasCancelled } from "./api";
import { charts, setMoment } from "./charts";
import { element, find, maybe } from "./dom";
import { moment, quantity } from "./format";
import { ns, range } from "./range";

interface ProcessThen {
  pid: number;
  comm: string;
  cpu_percent: number | null;
  rss_bytes: number | null;
  read_bytes_per_s: number | null;
  write_bytes_per_s: number | null;
  cpu_wait_percent: number | null;
  io_wait_percent: number | null;
}

interface Moment {
  at_ns: number;
  processes: ProcessThen[];
  left_out: number;
  path: string;
}

const COLUMNS: [keyof ProcessThen, string, string][] = [
  ["cpu_percent", "CPU", "%"],
  ["rss_bytes", "Memory", "B"],
  ["read_bytes_per_s", "Reads", "B/s"],
  ["write_bytes_per_s", "Writes", "B/s"],
  ["cpu_wait_percent", "Waits for CPU", "%"],
  ["io_wait_percent", "Waits for I/O", "%"],
];

export function beginMoments(): void {
  const dialog = maybe<HTMLDialogElement>("#moment");
  if (dialog === null) return;
  setMoment((at_ms) => {
    if (Number.isFinite(at_ms)) void show(dialog, at_ms);
  });
  for (const chart of charts) {
    const place = find(".plot", chart.root);
    place.addEventListener("keydown", (event) => move(event, chart.plot, (at_ms) => void show(dialog, at_ms)));
  }
}

/** The cursor of a chart by the keyboard. */
function move(event: KeyboardEvent, plot: uPlot | null, choose: (at_ms: number) => void): void {
  if (plot === null) return;
  const times = plot.data[0];
  const now = plot.cursor.idx ?? times.length - 1;
  const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 };
  const step = steps[event.key];
  if (step !== undefined) {
    const next = Math.min(Math.max(now + step, 0), times.length - 1);
    const at = times[next];
    if (at !== undefined) plot.setCursor({ left: plot.valToPos(at, "x"), top: 10 });
  } else if (event.key === "Enter") {
    const at = times[now];
    if (at !== undefined) choose(at);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

async function show(dialog: HTMLDialogElement, at_ms: number): Promise<void> {
  const body = find("#moment-body");
  find("#moment-title").textContent = `Processes at ${moment(at_ms)}`;
  body.replaceChildren(element("p", { class: "quiet" }, "Reading …"));
  if (!dialog.open) dialog.showModal();
  try {
    const told = await ask<Moment>("/api/moment", { at: ns(at_ms) }, "moment");
    const shown = range();
    const links = element(
      "p",
      {},
      element("a", { class: "button main", href: told.path }, "Diagnose the minute about it"),
      " ",
      element("a", { class: "button", href: `/processes?since=${ns(Math.max(shown.from_ms, at_ms - 60e3))}&until=${ns(at_ms + 60e3)}` }, "All processes"),
    );
    body.replaceChildren(links, told.processes.length === 0 ? element("p", {}, "No process has a row about this moment: nothing was recorded, or none did anything.") : table(told));
  } catch (error) {
    if (wasCancelled(error)) return;
    if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
    body.replaceChildren(element("p", { class: "problem" }, error instanceof Refused ? error.message : "The server does not answer."));
  }
}

function table(told: Moment): HTMLElement {
  const head = element("tr", {}, element("th", { scope: "col" }, "Process"), element("th", { scope: "col", class: "number" }, "pid"));
  for (const [, title] of COLUMNS) head.append(element("th", { scope: "col", class: "number" }, title));
  const body = element("tbody");
  for (const one of told.processes) {
    const row = element("tr", {}, element("td", {}, element("a", { href: `/processes/${one.pid}` }, one.comm)), element("td", { class: "number" }, String(one.pid)));
    for (const [name, , unit] of COLUMNS) {
      const value = one[name] as number | null;
      row.append(element("td", { class: "number" }, value === null ? "–" : quantity(value, unit)));
    }
    body.append(row);
  }
  const made = element("div", { class: "scroll" }, element("table", {}, element("thead", {}, head), body));
  if (told.left_out > 0) made.append(element("p", { class: "quiet" }, `${told.left_out} more that did less`));
  return made;
}
