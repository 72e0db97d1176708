import { collectCharts, load } from "./charts";
import { controls, keys } from "./controls";
import { maybe } from "./dom";
import { settleLive, stopLive } from "./live";
import { beginMarks, loadMarks } from "./marks";
import { beginMoments } from "./moment";
import { begin, onRange, setRange } from "./range";
import { loadTables } from "./tables";
import { showVerdict } from "./verdict";

async function showAll(): Promise<void> {
  await load();
  settleLive();
  await Promise.all([loadMarks(), showVerdict()]);
}

const shown = maybe("[data-from]");
if (shown !== null) {
  begin({
    from_ms: Number(shown.dataset["from"]),
    to_ms: Number(shown.dataset["to"]),
    live: shown.dataset["live"] === "true",
  });
}
keys();
if (maybe("#range-text") !== null) {
  collectCharts();
  controls();
  beginMarks();
  beginMoments();
  onRange(() => {
    stopLive();
    void showAll();
    void loadTables();
  });
  void showAll();
  window.addEventListener("pagehide", stopLive);
  window.addEventListener("show-range", (event) => {
    const { from, to } = (event as CustomEvent<{ from: number; to: number }>).detail;
    setRange({ from_ms: from, to_ms: to, live: false });
  });
}
