/** Markdown as it arrives: streaming-markdown builds the elements, this decides what may become of hostile text. */

import * as smd from "streaming-markdown";
import { button, element } from "./dom";
import { Highlighter } from "./highlight";
import { destination, inlineImage, remoteHost, safeHref } from "./safe";

const SLICE = 1024; // characters between two looks at the clock
const DEEPEST = 40; // nested elements; browsers lay deeper ones out very slowly
const PENDING = 32_768; // an address or fence line longer than this is no Markdown, and costs the parser n² to hold

const VERBATIM = new Set<number>([smd.CODE_BLOCK, smd.CODE_FENCE, smd.CODE_INLINE, smd.IMAGE, smd.RAW_URL]);
const PROSE = new Set<number>([
  smd.PARAGRAPH, smd.HEADING_1, smd.HEADING_2, smd.HEADING_3, smd.HEADING_4, smd.HEADING_5, smd.HEADING_6,
  smd.LIST_ITEM, smd.TABLE_CELL, smd.ITALIC_AST, smd.ITALIC_UND, smd.STRONG_AST, smd.STRONG_UND, smd.STRIKE,
]); // prettier-ignore
const FORMULA: Partial<Record<number, [string, string]>> = {
  [smd.EQUATION_BLOCK]: ["\\[", "\\]"],
  [smd.EQUATION_INLINE]: ["\\(", "\\)"],
};

interface Place {
  el: HTMLElement;
  type: number;
  code?: Highlighter;
}

export class Markdown {
  private readonly parser: smd.Parser;
  private readonly places: Place[];
  private marked: Element | null = null;
  private plain = false;

  constructor(private readonly root: HTMLElement) {
    this.places = [{ el: root, type: smd.DOCUMENT }];
    this.parser = smd.parser({
      data: undefined,
      add_token: (_, type) => this.open(type),
      end_token: () => this.close(),
      add_text: (_, text) => this.text(text),
      set_attr: (_, attribute, value) => this.attribute(attribute, value),
    });
  }

  /** Show more text until `deadline` (ms, as performance.now); returns how many characters were taken. */
  write(text: string, deadline = Infinity): number {
    let taken = 0;
    while (taken < text.length) {
      let end = Math.min(taken + SLICE, text.length);
      if (end < text.length && isHigh(text.charCodeAt(end - 1))) end += 1;
      this.parse(text.slice(taken, end));
      taken = end;
      if (performance.now() > deadline) break;
    }
    return taken;
  }

  /** Show what the parser still holds back; nothing can be written after it. */
  end(): void {
    if (!this.plain) smd.parser_end(this.parser);
    this.mark(null);
  }

  /** Put the cursor after the last word. */
  cursor(): void {
    this.release();
    const { el } = this.places[this.places.length - 1]!;
    this.mark(el === this.root ? (lastBlock(el) ?? el) : el);
  }

  /** The parser waits for the next character before it shows one; where that cannot change its meaning, show it. */
  private release(): void {
    const { parser } = this;
    if (this.plain || !PROSE.has(parser.token) || !/^[\p{L}\p{N}.]$/u.test(parser.pending)) return;
    parser.text += parser.pending;
    parser.pending = "";
    smd.parser_write(parser, "");
  }

  private mark(el: Element | null): void {
    if (el === this.marked) return;
    this.marked?.classList.remove("ocnb-cursor");
    el?.classList.add("ocnb-cursor");
    this.marked = el;
  }

  private parse(text: string): void {
    if (!this.plain) {
      try {
        // A lone dollar would open a formula that runs to the end of the answer.
        for (const [index, piece] of text.split("$").entries()) {
          if (index > 0) smd.parser_write(this.parser, this.verbatim ? "$" : "\\$");
          smd.parser_write(this.parser, piece);
        }
        this.plain = this.parser.pending.length > PENDING;
        if (this.plain) this.root.append(element("p", "", this.parser.pending));
        return;
      } catch {
        this.plain = true; // the parser's own tables are of fixed size; the saved answer has a parser without
      }
    }
    this.root.append(text);
  }

  /** Whether the parser stands where a backslash would be shown. */
  private get verbatim(): boolean {
    const { token, tokens, len, pending } = this.parser;
    const inside = token === smd.NEWLINE ? tokens[len]! : token;
    return VERBATIM.has(inside) || pending.startsWith("](") || pending.startsWith("`");
  }

  private open(type: number): void {
    const { el } = this.places[this.places.length - 1]!;
    if (type === smd.DOCUMENT) return;
    if (this.places.length > DEEPEST) {
      this.places.push({ el, type });
    } else if (type === smd.CODE_FENCE || type === smd.CODE_BLOCK) {
      this.places.push(codeBlock(el, type));
    } else if (type === smd.IMAGE) {
      this.places.push({ el: el.appendChild(element("span", "ocnb-image")), type });
    } else if (FORMULA[type]) {
      this.places.push({ el: el.appendChild(element("span", "", FORMULA[type][0])), type });
    } else {
      const data = { nodes: [el], index: 0 };
      smd.default_add_token(data as unknown as smd.Default_Renderer_Data, type as smd.Token);
      this.places.push({ el: data.nodes[1] ?? el, type });
    }
  }

  private close(): void {
    const { el, type } = this.places.pop()!;
    if (FORMULA[type]) el.append(FORMULA[type][1]);
  }

  private text(text: string): void {
    const place = this.places[this.places.length - 1]!;
    if (place.type === smd.CODE_FENCE || place.type === smd.CODE_BLOCK) {
      place.code ??= new Highlighter(place.el, "");
      place.code.add(text);
    } else {
      place.el.append(text);
    }
  }

  private attribute(attribute: number, value: string): void {
    const place = this.places[this.places.length - 1]!;
    const { el } = place;
    switch (attribute) {
      case smd.HREF:
        if (el instanceof HTMLAnchorElement) link(el, value);
        break;
      case smd.SRC:
        if (place.type === smd.IMAGE) image(el, destination(value));
        break;
      case smd.LANG: {
        const language = /^[\w+#-]{1,20}/.exec(value.trim())?.[0] ?? "";
        if (language) el.className = `language-${language.toLowerCase()}`;
        place.code = new Highlighter(el, language);
        break;
      }
      case smd.CHECKED:
        el.setAttribute("checked", "");
        break;
      case smd.START:
        if (/^\d{1,9}$/.test(value)) el.setAttribute("start", value);
    }
  }
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;

/** Where text would go on after a block that has ended: its innermost last element. */
function lastBlock(root: Element): Element | null {
  let last = root.lastElementChild;
  while (last?.lastElementChild?.matches("p,li,ul,ol,blockquote,pre,code,tbody,tr,td,th")) last = last.lastElementChild;
  return last?.matches("p,li,h1,h2,h3,h4,h5,h6,code,td,th") ? last : null;
}

function codeBlock(parent: HTMLElement, type: number): Place {
  const box = parent.appendChild(element("div", "ocnb-code"));
  const code = box.appendChild(element("pre")).appendChild(element("code"));
  const copy = button("Copy", async () => {
    copy.textContent = (await copied(code.textContent ?? "")) ? "Copied" : "Not copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  box.append(copy);
  return { el: code, type };
}

/** Browsers give navigator.clipboard only to https and localhost. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand?.("copy") ?? false;
    field.remove();
    return done;
  }
}

function link(el: HTMLAnchorElement, written: string): void {
  const href = safeHref(written);
  if (href === null) return;
  el.setAttribute("href", href);
  if (href.startsWith("#")) return;
  el.target = "_blank";
  el.rel = "noopener noreferrer";
}

function picture(src: string, alt: string): HTMLImageElement {
  const made = element("img");
  made.alt = alt;
  made.referrerPolicy = "no-referrer";
  made.src = src;
  return made;
}

function image(el: HTMLElement, src: string): void {
  const alt = el.textContent ?? "";
  if (inlineImage(src)) {
    el.replaceChildren(picture(src, alt));
    return;
  }
  const host = remoteHost(src);
  if (host === null) return;
  const show = button(`show image from ${host}`, (event) => {
    event.preventDefault(); // it may stand inside a link
    event.stopPropagation();
    el.replaceChildren(picture(src, alt));
  });
  show.title = src;
  el.append(alt && " ", show);
}
