// Tables and pictures that the server writes: read again for another range.

import { announce, maybe } from "./dom";
import { refreshLinks } from "./range";

let running: AbortController | null = null;

export async function loadTables(): Promise<void> {
  const place = maybe("#tables");
  if (place === null) return;
  running?.abort();
  running = new AbortController();
  try {
    const answer = await fetch(location.href, { signal: running.signal, headers: { accept: "text/html" } });
    const told = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#tables");
    if (told !== null) place.replaceChildren(...told.children);
    refreshLinks();
  } catch (error) {
    if (error instanceof TypeError) announce("The server does not answer.");
    else if (!(error instanceof DOMException)) throw error;
  }
}
