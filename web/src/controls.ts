// The bar above the charts: the range, live, the comparison with yesterday, the theme; and the keys.

import { compareWithYesterday, repaint } from "./charts";
import { announce, find, maybe } from "./dom";
import { moment, span } from "./format";
import { back, onRange, pan, parseLength, range, Range, setRange, zoom } from "./range";

function showRange(shown: Range): void {
  const text = shown.live
    ? `the last ${span(shown.to_ms - shown.from_ms)}`
    : `${moment(shown.from_ms)} to ${moment(shown.to_ms)}`;
  find("#range-text").textContent = text;
  find("#live").setAttribute("aria-pressed", String(shown.live));
  for (const preset of document.querySelectorAll<HTMLElement>("[data-length]")) {
    const length = parseLength(preset.dataset["length"] ?? "");
    const chosen = shown.live && length !== null && Math.abs(length - (shown.to_ms - shown.from_ms)) < 1500;
    preset.setAttribute("aria-pressed", String(chosen));
  }
  const local = (at_ms: number): string => moment(at_ms).replace(" ", "T");
  find<HTMLInputElement>("#from").value = local(shown.from_ms);
  find<HTMLInputElement>("#to").value = local(shown.to_ms);
  announce(`Shown: ${text}`);
}

export function goLive(): void {
  const length = range().to_ms - range().from_ms;
  setRange({ from_ms: Date.now() - length, to_ms: Date.now(), live: true });
}

function setTheme(): void {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset["theme"] ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  root.dataset["theme"] = next;
  localStorage.setItem("theme", next);
  repaint();
}

const KEYS: Record<string, () => void> = {
  ArrowLeft: () => pan(-0.5),
  ArrowRight: () => pan(0.5),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  Backspace: back,
  l: goLive,
  t: setTheme,
  y: () => find("#yesterday").click(),
  "?": () => maybe<HTMLDialogElement>("#keys")?.showModal(),
};

export function controls(): void {
  const on = (selector: string, call: () => void): void => find(selector).addEventListener("click", call);
  on("#earlier", () => pan(-0.5));
  on("#later", () => pan(0.5));
  on("#zoom-in", () => zoom(0.5));
  on("#zoom-out", () => zoom(2));
  on("#back", back);
  on("#live", () => (range().live ? setRange({ ...range(), live: false }) : goLive()));
  on("#yesterday", () => {
    const button = find("#yesterday");
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    void compareWithYesterday(now);
  });
  for (const preset of document.querySelectorAll<HTMLElement>("[data-length]")) {
    preset.addEventListener("click", () => {
      const length = parseLength(preset.dataset["length"] ?? "") ?? 900e3;
      setRange({ from_ms: Date.now() - length, to_ms: Date.now(), live: true });
    });
  }
  find("#when").addEventListener("submit", (event) => {
    event.preventDefault();
    const from_ms = Date.parse(find<HTMLInputElement>("#from").value);
    const to_ms = Date.parse(find<HTMLInputElement>("#to").value);
    if (Number.isFinite(from_ms) && Number.isFinite(to_ms) && from_ms < to_ms) {
      setRange({ from_ms, to_ms, live: false });
      maybe<HTMLDetailsElement>("#other-time")?.removeAttribute("open");
    } else {
      announce("The range must end after it begins.");
      find("#when .problem").textContent = "The range must end after it begins.";
    }
  });
  onRange(showRange);
  showRange(range());
}

export function keys(): void {
  maybe("#theme")?.addEventListener("click", setTheme);
  maybe("#show-keys")?.addEventListener("click", () => maybe<HTMLDialogElement>("#keys")?.showModal());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, dialog")) return;
    if (event.key.startsWith("Arrow") && target.closest("[role=application], summary")) return;
    const act = KEYS[event.key];
    if (act === undefined || (maybe("#range-text") === null && !["t", "?"].includes(event.key))) return;
    event.preventDefault();
    act();
  });
}
