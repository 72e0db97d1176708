// Questions to the server's JSON API. What is asked again cancels what was asked before under the same key.

export interface Lines {
  name: string;
  unit: string;
  start_ns: number;
  end_ns: number;
  step_ns: number;
  times_ms: number[];
  labels: string[];
  values: (number | null)[][];
  left_out: number;
}

const running = new Map<string, AbortController>();

export class Refused extends Error {}

export async function ask<T>(path: string, parameters: Record<string, string> = {}, key = ""): Promise<T> {
  const query = new URLSearchParams(parameters).toString();
  const abort = new AbortController();
  if (key !== "") {
    running.get(key)?.abort();
    running.set(key, abort);
  }
  const answer = await fetch(query === "" ? path : `${path}?${query}`, {
    headers: { accept: "application/json" },
    signal: abort.signal,
  });
  const told = (await answer.json()) as T & { error?: string };
  if (!answer.ok) throw new Refused(told.error ?? `the server answered with ${answer.status}`);
  return told;
}

export function wasCancelled(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
