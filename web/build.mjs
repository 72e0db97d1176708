// Bundles the part of the pages that runs in the browser into the package's static files: `make web`.
// With a directory as argument, it writes there instead, so that the committed files can be compared.
import { build } from "esbuild";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const outdir = process.argv[2] ?? join(here, "../src/kernelsight/surfaces/web/static");

await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.ts", theme: "src/theme.ts" },
  outdir,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  charset: "utf8",
  legalComments: "eof",
  logLevel: "warning",
});
await build({
  absWorkingDir: here,
  entryPoints: { app: "src/app.css" },
  outdir,
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "eof",
  logLevel: "warning",
});
