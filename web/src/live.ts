// Live: once a second the server tells what is new in the charts of the page. Long ranges are read again now and then.

import { append, charts, load, redraw } from "./charts";
import { announce, find } from "./dom";
import { loadMarks } from "./marks";
import { follow, range } from "./range";
import { loadTables } from "./tables";
import { showVerdict } from "./verdict";

interface Tick {
  now_ms: number;
  news: { name: string; times_ms: number[]; labels: string[]; values: (number | null)[][] }[];
  problem: string;
}

const STREAMED_MS = 3_600_000;
const AGAIN_MS = 30_000;
let source: EventSource | null = null;
let timer = 0;

function refresh(): void {
  void showVerdict();
  void loadMarks();
  void loadTables();
  if (source === null) {
    follow(Date.now());
    void load();
  }
}

function hear(event: MessageEvent<string>): void {
  const tick = JSON.parse(event.data) as Tick;
  for (const one of tick.news) append(one.name, one.times_ms, one.labels, one.values);
  if (!document.hidden) {
    follow(tick.now_ms);
    redraw();
  }
  find("#live").title = tick.problem === "" ? "Live (l)" : tick.problem;
}

export function stopLive(): void {
  source?.close();
  source = null;
  clearInterval(timer);
}

/** Begins or ends the stream, as the range wants it. */
export function settleLive(): void {
  stopLive();
  const shown = range();
  if (!shown.live) return;
  timer = window.setInterval(refresh, AGAIN_MS);
  const streamed = charts.filter((chart) => chart.root.dataset["of"] === undefined).map((chart) => chart.name);
  if (shown.to_ms - shown.from_ms > STREAMED_MS || streamed.length === 0) return;
  source = new EventSource(`/api/live?charts=${streamed.map(encodeURIComponent).join(",")}`);
  source.addEventListener("message", hear);
  source.addEventListener("error", () => announce("The stream is interrupted; the browser tries again."));
}
