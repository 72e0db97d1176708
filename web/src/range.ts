// The one time range of a page: live (the last so many ms) or fixed. It stands in the address, so that it can be sent.

export interface Range {
  from_ms: number;
  to_ms: number;
  live: boolean;
}

const UNITS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3, w: 604_800e3 };
const LEAST_MS = 2_000;
const MOST_MS = 400 * 86_400e3;

type Listener = (range: Range) => void;

let current: Range = { from_ms: Date.now() - 900e3, to_ms: Date.now(), live: true };
const listeners: Listener[] = [];
const before: Range[] = [];

export function range(): Range {
  return current;
}

export function onRange(listener: Listener): void {
  listeners.push(listener);
}

export function parseLength(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(s|m|h|d|w)$/.exec(text);
  const unit = match?.[2];
  return match === null || unit === undefined ? null : Number(match[1]) * (UNITS[unit] ?? 1);
}

/** Text for the API: ns since the epoch, exactly. */
export function ns(at_ms: number): string {
  return `${Math.round(at_ms * 1000)}000`;
}

function clamped(wanted: Range): Range {
  const length = Math.min(Math.max(wanted.to_ms - wanted.from_ms, LEAST_MS), MOST_MS);
  return { ...wanted, from_ms: wanted.to_ms - length };
}

function setAddress(push: boolean): void {
  const address = new URL(location.href);
  if (current.live) {
    address.searchParams.set("since", `${Math.round((current.to_ms - current.from_ms) / 1000)}s`);
    address.searchParams.delete("until");
  } else {
    address.searchParams.set("since", ns(current.from_ms));
    address.searchParams.set("until", ns(current.to_ms));
  }
  if (address.href !== location.href) history[push ? "pushState" : "replaceState"](null, "", address);
  refreshLinks();
}

/** Links to other pages take the range along. */
export function refreshLinks(): void {
  const address = new URL(location.href);
  for (const link of document.querySelectorAll<HTMLAnchorElement | SVGAElement>("a[data-keeps-range]")) {
    const target = new URL(link.getAttribute("href") ?? "", location.href);
    if (target.pathname.startsWith("/incident/")) continue;
    for (const name of ["since", "until"]) {
      const value = address.searchParams.get(name);
      if (value === null) target.searchParams.delete(name);
      else target.searchParams.set(name, value);
    }
    link.setAttribute("href", `${target.pathname}${target.search}`);
  }
}

export function setRange(wanted: Range, remember = true): void {
  if (remember) before.push(current);
  if (before.length > 50) before.shift();
  current = clamped(wanted);
  setAddress(remember);
  for (const listener of listeners) listener(current);
}

/** Moves the end to a later moment while live; the address stays. */
export function follow(to_ms: number): void {
  const length = current.to_ms - current.from_ms;
  current = { from_ms: to_ms - length, to_ms, live: true };
}

export function zoom(factor: number, around_ms = (current.from_ms + current.to_ms) / 2): void {
  const length = (current.to_ms - current.from_ms) * factor;
  const share = (around_ms - current.from_ms) / (current.to_ms - current.from_ms);
  const to_ms = Math.min(around_ms + length * (1 - share), Date.now());
  setRange({ from_ms: to_ms - length, to_ms, live: current.live && factor > 1 });
}

export function pan(share: number): void {
  const length = current.to_ms - current.from_ms;
  const to_ms = Math.min(current.to_ms + length * share, Date.now());
  setRange({ from_ms: to_ms - length, to_ms, live: false });
}

export function back(): void {
  const last = before.pop();
  if (last !== undefined) setRange(last, false);
}

/** The browser's own way back: the address says which range it was, as this page has written it. */
window.addEventListener("popstate", () => {
  const address = new URL(location.href).searchParams;
  const length = parseLength(address.get("since") ?? "");
  const from_ms = Number(address.get("since")) / 1e6;
  const to_ms = Number(address.get("until")) / 1e6;
  if (length !== null) setRange({ from_ms: Date.now() - length, to_ms: Date.now(), live: true }, false);
  else if (from_ms > 0 && to_ms > from_ms) setRange({ from_ms, to_ms, live: false }, false);
});

/** Reads the range from what the server has understood of the address. */
export function begin(shown: { from_ms: number; to_ms: number; live: boolean }): void {
  current = clamped(shown);
  setAddress(false);
}
