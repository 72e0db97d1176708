import { charts, collectCharts, load } from "./charts";
import { controls, keys } from "./controls";
import { maybe } from "./dom";
import { begin, onRange } from "./range";

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
  onRange(() => void load());
  void load().then(() => {
    if (charts.length > 0) performance.mark("charts-drawn");
  });
}
