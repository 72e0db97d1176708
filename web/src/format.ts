// Numbers and moments as people read them. Units are those that the API gives: %, B, B/s, s, s/s, 1/s.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const DECIMAL = ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"];

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(1);
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

function scaled(value: number, base: number, names: string[]): string {
  let place = 0;
  while (Math.abs(value) >= base && place < names.length - 1) {
    value /= base;
    place += 1;
  }
  return `${digits(value)} ${names[place]}`;
}

function duration(seconds: number): string {
  const size = Math.abs(seconds);
  if (size === 0) return "0 s";
  if (size >= 1) return `${digits(seconds)} s`;
  if (size >= 1e-3) return `${digits(seconds * 1e3)} ms`;
  if (size >= 1e-6) return `${digits(seconds * 1e6)} µs`;
  return `${digits(seconds * 1e9)} ns`;
}

export function quantity(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return "not known";
  switch (unit) {
    case "B":
      return scaled(value, 1024, BINARY);
    case "B/s":
      return scaled(value, 1000, DECIMAL);
    case "s":
      return duration(value);
    case "s/s":
      return `${duration(value)}/s`;
    case "%":
      return `${digits(Math.abs(value) < 0.005 ? 0 : Number(value.toFixed(2)))} %`;
    case "1/s":
      return `${digits(value)}/s`;
    default:
      return unit === "" ? digits(value) : `${digits(value)} ${unit}`;
  }
}

/** Distances between the marks of an axis that are round in the unit. */
export function increments(unit: string): number[] | undefined {
  if (unit !== "B") return undefined;
  return Array.from({ length: 56 }, (_, power) => 2 ** power);
}

const two = (value: number): string => String(value).padStart(2, "0");

export function timeOfDay(at_ms: number): string {
  const moment = new Date(at_ms);
  return `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
}

export function day(at_ms: number): string {
  const moment = new Date(at_ms);
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}

export function moment(at_ms: number): string {
  return `${day(at_ms)} ${timeOfDay(at_ms)}`;
}

export function span(length_ms: number): string {
  const seconds = Math.round(length_ms / 1000);
  const sizes: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  for (const [size, name] of sizes) {
    if (seconds >= size) return `${digits(seconds / size)} ${name}`;
  }
  return `${digits(length_ms)} ms`;
}
