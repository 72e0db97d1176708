// The sentence on top of the first page: what the diagnosis says of the range, or of the last minute while live.

import { ask, Refused, wasCancelled } from "./api";
import { element, maybe } from "./dom";
import { ns, range } from "./range";

interface Headline {
  answer: "healthy" | "findings" | "unknown";
  sentence: string;
  more: string[];
  path: string;
}

const LONGEST_MS = 900_000;

export async function showVerdict(): Promise<void> {
  const panel = maybe("#verdict");
  if (panel === null) return;
  const shown = range();
  const long = shown.to_ms - shown.from_ms > LONGEST_MS + 1000;
  if (!shown.live && long) {
    fill(panel, "quiet", "Choose 15 minutes or less to have them diagnosed.", ["Marks below show what was recorded in this time."], "");
    return;
  }
  const window: Record<string, string> = shown.live ? {} : { since: ns(shown.from_ms), until: ns(shown.to_ms) };
  try {
    const told = await ask<Headline>("/api/verdict", window, "verdict");
    const about = shown.live ? ["Of the last minute."] : [];
    fill(panel, told.answer, told.sentence, [...told.more, ...about], told.path);
  } catch (error) {
    if (wasCancelled(error)) return;
    if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
    fill(panel, "unknown", error instanceof Refused ? error.message : "The server does not answer.", [], "");
  }
}

function fill(panel: HTMLElement, answer: string, sentence: string, more: string[], path: string): void {
  panel.className = `panel verdict ${answer}`;
  const text = element("div", {}, element("p", { class: "sentence" }, sentence));
  for (const line of more) text.append(element("p", { class: "more" }, line));
  if (path !== "") text.append(element("p", { class: "more" }, element("a", { href: path }, "The whole diagnosis: what shows it, and what to do")));
  panel.replaceChildren(text);
}
