// Builds src/ into openclaw_nb/static/: the style sheet, one module per widget, and the loader that finds them.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const src = fileURLToPath(new URL("src", import.meta.url));
const out = fileURLToPath(new URL("../openclaw_nb/static", import.meta.url));
const common = { bundle: true, minify: true, format: "esm", target: "es2022", charset: "utf8", logLevel: "warning" };
// The parser's own assertions would only tell the page's console that a text is not well-formed.
common.pure = ["console.assert"];

const sheets = ["view", "asks", "timeline", "level", "pool", "lanes", "lanes_live"];
await mkdir(out, { recursive: true });
await build({ ...common, entryPoints: sheets.map((name) => `${src}/${name}.css`), outdir: out });
const sheet = async (name) => JSON.stringify((await readFile(`${out}/${name}.css`, "utf8")).trim());

const widgets = (await readdir(src)).filter((name) => name.endsWith(".ts") && name !== "loader.ts");
await build({
  ...common,
  entryPoints: widgets.map((name) => `${src}/${name}`),
  outdir: out,
  define: {
    __CSS__: await sheet("view"),
    __ASKS_CSS__: await sheet("asks"),
    __TIMELINE_CSS__: await sheet("timeline"),
    __LEVEL_CSS__: await sheet("level"),
    __POOL_CSS__: await sheet("pool"),
    __LANES_CSS__: await sheet("lanes_live"),
  },
});

// The loader knows the libraries by their content, so a page that met another version never takes the wrong one.
const sum = createHash("sha256");
for (const name of ["stream", "lanes"]) sum.update(await readFile(`${out}/${name}.js`));
const hash = sum.digest("hex").slice(0, 12);
await build({
  ...common,
  entryPoints: [`${src}/loader.ts`],
  outdir: out,
  define: { __HASH__: JSON.stringify(hash) },
});
