// Signals, anomalies and findings: marks on the time axis of every chart, and a list of them.

import uPlot from "uplot";
import { ask, Refused, wasCancelled } from "./api";
import { redrawMarks, setMarks } from "./charts";
import { element, find, maybe } from "./dom";
import { moment, span, timeOfDay } from "./format";
import { ns, range, setRange } from "./range";

interface Mark {
  sort: "signal" | "anomaly" | "finding";
  severity: "info" | "warning" | "critical";
  start_ns: number;
  end_ns: number | null;
  text: string;
  path: string;
}

interface Marks {
  marks: Mark[];
  left_out: number;
}

const SHAPES = { finding: "◆", signal: "▲", anomaly: "●" };
let marks: Mark[] = [];
let leftOut = 0;

function colour(mark: Mark): string {
  const name = { critical: "--bad", warning: "--warn", info: "--ink-2" }[mark.severity];
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function beginMarks(): void {
  setMarks(paint);
}

/** In a chart: a shape at the top where something begins, and a bar for as long as it goes on. */
function paint(plot: uPlot): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const mark of marks) {
    const left = plot.valToPos(mark.start_ns / 1e6, "x", true);
    const right = plot.valToPos((mark.end_ns ?? Date.now() * 1e6) / 1e6, "x", true);
    if (right < bbox.left || left > bbox.left + bbox.width) continue;
    ctx.fillStyle = colour(mark);
    ctx.globalAlpha = 0.55;
    ctx.fillRect(left, bbox.top, Math.max(right - left, 2 * ratio), 3 * ratio);
    ctx.globalAlpha = 0.9;
    if (mark.severity !== "info") {
      ctx.strokeStyle = colour(mark);
      ctx.setLineDash([3 * ratio, 3 * ratio]);
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
    }
  }
  ctx.restore();
}

export async function loadMarks(): Promise<void> {
  if (maybe("#marks") === null) return;
  const shown = range();
  try {
    const told = await ask<Marks>("/api/marks", { since: ns(shown.from_ms), until: ns(shown.to_ms) }, "marks");
    marks = told.marks;
    leftOut = told.left_out;
    list("");
    redrawMarks();
  } catch (error) {
    if (wasCancelled(error)) return;
    if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
    marks = [];
    list(error instanceof Refused ? error.message : "The server does not answer.");
  }
}

function list(problem: string): void {
  const place = find("#marks");
  place.replaceChildren();
  const note = find("#marks-note");
  note.textContent = problem !== "" ? problem : marks.length === 0 ? "None in this time." : "";
  if (leftOut > 0) note.textContent += ` ${leftOut} less grave ones are not listed.`;
  for (const mark of [...marks].reverse().slice(0, 60)) {
    const began = mark.start_ns / 1e6;
    const shape = element("span", { class: `shape ${mark.severity}`, "aria-hidden": "true" }, SHAPES[mark.sort]);
    const zoom = element("button", { type: "button", title: "Show this time in the charts" }, `${timeOfDay(began)}`);
    zoom.addEventListener("click", () => {
      const ended = mark.end_ns === null ? Math.min(began + 120e3, Date.now()) : mark.end_ns / 1e6;
      const margin = Math.max(30e3, (ended - began) / 2);
      setRange({ from_ms: began - margin, to_ms: Math.min(ended + margin, Date.now()), live: false });
    });
    const lasted = mark.end_ns === null ? "goes on" : span(Math.max(0, mark.end_ns / 1e6 - began));
    place.append(
      element(
        "li",
        { title: moment(began) },
        shape,
        zoom,
        element("span", { class: "hidden" }, `${mark.severity} ${mark.sort}: `),
        element("a", { href: mark.path }, mark.text),
        element("span", { class: "quiet" }, lasted),
      ),
    );
  }
}
