import { afterEach, describe, expect, it, vi } from "vitest";
import { shown } from "./helpers";

const SAMPLES = [
  "plain *em* **strong** `code` ~~gone~~\n\n# Head\n\n- a\n- b\n  - c\n\n1. x\n2. y\n",
  "| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted\n\n---\n\nend",
  "```python\ndef f(x):\n    return 'é😀' # done\n```\n\nafter 🐍",
  "price $5 and $10, $HOME/bin, `$x`, \\(a^2\\) and **$y**",
];

describe("while it streams", () => {
  it.each(SAMPLES)("looks the same however it is cut: %j", async (text) => {
    const whole = (await shown(text)).textContent;
    for (const size of [1, 2, 3, 7]) {
      // Pieces never end within a surrogate pair: Python sends whole characters.
      const root = document.createElement("div");
      const { Markdown } = await import("../src/lib/markdown");
      const markdown = new Markdown(root);
      const characters = [...text];
      for (let at = 0; at < characters.length; at += size) {
        markdown.write(characters.slice(at, at + size).join(""));
        markdown.cursor();
      }
      markdown.end();
      expect(root.textContent).toBe(whole);
    }
  });

  it("keeps dollars as dollars", async () => {
    const root = await shown("It costs $5, set $HOME.\n\n# Next\n\n`$x` and ```$y``` end");
    expect(root.textContent).toContain("It costs $5, set $HOME.");
    expect(root.querySelector("h1")?.textContent).toBe("Next");
    expect([...root.querySelectorAll("code")].map((code) => code.textContent)).toEqual(["$x", "$y"]);
    expect((await shown("```sh\necho $HOME $$\n```\n")).querySelector("code")?.textContent).toBe("echo $HOME $$");
  });

  it("holds no word back while it waits for more", async () => {
    const { Markdown } = await import("../src/lib/markdown");
    for (const [text, shown] of [["the dip", "the dip"], ["- one **two", "one two"], ["a [link", "a lin"], ["done.", "done."]]) {
      const root = document.createElement("div");
      const markdown = new Markdown(root);
      markdown.write(text!);
      markdown.cursor();
      expect(root.textContent).toBe(shown);
    }
  });

  it("stops at its deadline and says how far it got", async () => {
    const { Markdown } = await import("../src/lib/markdown");
    const markdown = new Markdown(document.createElement("div"));
    const text = "word ".repeat(2000);
    const taken = markdown.write(text, -1);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(text.length);
  });

  it("marks the place of the next word, and nothing once it is over", async () => {
    const { Markdown } = await import("../src/lib/markdown");
    const root = document.createElement("div");
    const markdown = new Markdown(root);
    markdown.cursor();
    expect(root.classList.contains("ocnb-cursor")).toBe(true);
    markdown.write("- one\n- two **thr");
    markdown.cursor();
    expect(root.querySelectorAll(".ocnb-cursor").length).toBe(1);
    expect(root.querySelector(".ocnb-cursor")?.tagName).toBe("STRONG");
    markdown.end();
    expect(root.querySelector(".ocnb-cursor")).toBeNull();
  });
});

const HOSTILE = [
  "<script>window.hit = 1</script>",
  "<img src=x onerror=window.hit=1>",
  "<svg onload=window.hit=1><script>1</script></svg>",
  "<iframe srcdoc='<script>1</script>'></iframe><style>*{display:none}</style>",
  "[a](javascript:window.hit=1)",
  "[a](JaVaScRiPt:window.hit=1) [b](java\tscript:window.hit=1) [c]( javascript:window.hit=1)",
  "[a](<javascript:window.hit=1>) [b](\u0001javascript:window.hit=1)",
  "[a](javascript:window.hit=1//https://x.example/) [b](x:mailto:y) [c](x#y)",
  "[a](vbscript:x) [b](data:text/html,<script>1</script>) [c](file:///etc/passwd) [d](blob:x)",
  "![a](javascript:window.hit=1) ![b](data:text/html;base64,PHNjcmlwdD4=)",
  "![a](data:image/svg+xml,<svg onload=window.hit=1>)",
  "![a](https://evil.example/p.png?secret=1)",
  "[![a](https://evil.example/p.png)](https://evil.example/)",
  "![![a](https://evil.example/1.png)](https://evil.example/2.png)",
  "> - **[![x](http://evil.example/\"onerror=\"window.hit=1)](javascript:1)**",
  "```\"><script>window.hit=1</script>\n</code></pre><script>window.hit=1</script>\n```\n",
  "`<script>window.hit = 1</script>`",
  "| <img src=x onerror=window.hit=1> |\n|---|\n| [x](javascript:1) |\n",
  "# <b onclick=window.hit=1>x</b>\n\nhttps://ok.example/<script>1</script>",
  '[a](https://x.example "onmouseover=window.hit=1")',
  "\\(<script>1</script>\\) $$<img src=x onerror=1>$$",
];
const ALLOWED = new Set(
  "A P EM STRONG S CODE PRE DIV SPAN UL OL LI BLOCKQUOTE BR HR H1 H2 H3 H4 H5 H6 TABLE THEAD TBODY TR TH TD INPUT BUTTON".split(" "),
); // prettier-ignore
const ATTRIBUTES = new Set(["class", "href", "target", "rel", "type", "title", "data-lm-suppress-shortcuts", "disabled", "checked", "start"]); // prettier-ignore

describe("hostile text", () => {
  it.each(HOSTILE.flatMap((text) => [[text, Infinity], [text, 1]] as [string, number][]))("%j by %d", async (text, size) => {
    const root = await shown(`before ${text}\n\n${text}\n\nafter`, size);
    for (const el of root.querySelectorAll("*")) {
      expect(ALLOWED, el.outerHTML).toContain(el.tagName);
      for (const { name } of el.attributes) expect(ATTRIBUTES, el.outerHTML).toContain(name);
      const href = el.getAttribute("href");
      if (href !== null) expect(href).toMatch(/^(https?:\/\/|mailto:|#)/i);
    }
    expect(root.textContent).toContain("after");
  });

  it("opens links elsewhere without telling them where from", async () => {
    const link = (await shown('[a](https://x.example/p "title") b')).querySelector("a")!;
    expect(link.getAttribute("href")).toBe("https://x.example/p");
    expect([link.target, link.rel]).toEqual(["_blank", "noopener noreferrer"]);
    expect((await shown("[a](#part) b")).querySelector("a")!.target).toBe("");
    expect((await shown("[a](mailto:a@b.example) b")).querySelector("a")!.getAttribute("href")).toBe("mailto:a@b.example");
  });

  it("loads an image from elsewhere on a click only, and names its host", async () => {
    const root = await shown("![chart](https://user@evil.example:8000/p.png) b");
    expect(root.querySelector("img")).toBeNull();
    const show = root.querySelector("button")!;
    expect(show.textContent).toBe("show image from evil.example:8000");
    expect(root.textContent).toContain("chart");
    show.click();
    const image = root.querySelector("img")!;
    expect(image.getAttribute("src")).toBe("https://user@evil.example:8000/p.png");
    expect([image.alt, image.referrerPolicy]).toEqual(["chart", "no-referrer"]);
  });

  it("shows an image that is part of the text", async () => {
    const image = (await shown("![dot](data:image/png;base64,AAAA) b")).querySelector("img")!;
    expect([image.getAttribute("src"), image.alt]).toEqual(["data:image/png;base64,AAAA", "dot"]);
  });

  it("survives nesting and lines without end, and shows their text", async () => {
    for (const text of [
      ">".repeat(5000) + " deep",
      "**_".repeat(3000) + "deep",
      Array.from({ length: 300 }, (_, n) => " ".repeat(2 * n) + "- deep").join("\n"),
      "[".repeat(5000) + "deep",
      "[a](" + "x".repeat(60_000) + " deep",
      "```" + "x".repeat(60_000) + " deep",
    ]) {
      const root = await shown(text, 997);
      expect(root.textContent).toContain("deep");
      let depth = 0;
      for (let el: Element | null = root; el; el = el.lastElementChild) depth += 1;
      expect(depth).toBeLessThan(60);
    }
  });

  it("does not trip over noise", async () => {
    const alphabet = ["*", "_", "`", "```", "\n", "\n\n", " ", "    ", "- ", "1. ", "> ", "|", "[", "](", ")", "![", "$", "\\", "\\(", "<br>", "#", "~~", "http://", "x", "😀"]; // prettier-ignore
    let seed = 7;
    const next = (): number => (seed = (seed * 48271) % 2147483647);
    for (let round = 0; round < 300; round += 1) {
      let text = "";
      for (let n = 0; n < 60; n += 1) text += alphabet[next() % alphabet.length];
      const root = await shown(text, 1 + (next() % 9));
      for (const el of root.querySelectorAll("*")) expect(ALLOWED, text).toContain(el.tagName);
    }
  });
});

describe("code", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("carries its language and colours, whole or cut", async () => {
    const text = '```python\ndef f(x):  # why\n    """doc\n    string"""\n    return f"{x}" + 3.5\n```\n\nend';
    for (const size of [Infinity, 1, 4]) {
      const code = (await shown(text, size)).querySelector(".ocnb-code code")!;
      expect(code.className).toBe("language-python");
      const of = (kind: string) => [...code.querySelectorAll(`.${kind}`)].map((span) => span.textContent);
      expect(of("k")).toEqual(["def", "return"]);
      expect(of("nf")).toEqual(["f"]);
      expect(of("c")).toEqual(["# why"]);
      expect(of("s")).toEqual(['"""doc\n    string"""', 'f"{x}"']);
      expect(of("m")).toEqual(["3.5"]);
    }
  });

  it.each([
    ["js", "const a = `x${1}` // c", ["const"], ["// c"]],
    ["bash", "if [ -f x ]; then # c", ["if", "then"], ["# c"]],
    ["json", '{"a": true}', ["true"], []],
    ["sql", "SELECT 'a' FROM t -- c", ["SELECT", "FROM"], ["-- c"]],
  ])("colours %s", async (language, text, keywords, comments) => {
    const code = (await shown(`\`\`\`${language}\n${text}\n\`\`\`\n`)).querySelector("code")!;
    expect([...code.querySelectorAll(".k")].map((span) => span.textContent)).toEqual(keywords);
    expect([...code.querySelectorAll(".c")].map((span) => span.textContent)).toEqual(comments);
    expect(code.textContent).toBe(text);
  });

  it("leaves an unknown language alone", async () => {
    const code = (await shown("```brainf\n+[-] if\n```\n")).querySelector("code")!;
    expect(code.querySelector("span")).toBeNull();
    expect(code.textContent).toBe("+[-] if");
  });

  it("is copied as it was written", async () => {
    const written: string[] = [];
    vi.stubGlobal("navigator", { clipboard: { writeText: async (text: string) => void written.push(text) } });
    const root = await shown("```python\nif x:\n    y = '<b>'\n```\n\nend");
    const copy = root.querySelector<HTMLButtonElement>(".ocnb-code button")!;
    copy.click();
    await vi.waitFor(() => expect(copy.textContent).toBe("Copied"));
    expect(written).toEqual(["if x:\n    y = '<b>'"]);
  });
});
