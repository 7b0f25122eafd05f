/** Colours for code while it arrives. Token classes are Pygments' short names, so the saved output matches. */

const WORDS = {
  python:
    "and as assert async await break case class continue def del elif else except False finally for from global if " +
    "import in is lambda match None nonlocal not or pass raise return True try while with yield",
  js:
    "as async await break case catch class const continue debugger default delete do else enum export extends false " +
    "finally for from function if implements import in instanceof interface let new null of private public readonly " +
    "return static super switch this throw true try type typeof undefined var void while yield",
  bash: "case do done elif else esac export fi for function if in local return select then until while",
  json: "true false null",
  sql:
    "all and as asc between by case create cross delete desc distinct drop else end exists false from full group " +
    "having in inner insert into is join left like limit not null offset on or order outer over partition primary " +
    "right select set table then true union update values view when where with",
};

type Language = keyof typeof WORDS;

const NAMES: Record<string, Language> = {
  python: "python", py: "python", python3: "python", ipython: "python", ipython3: "python", pycon: "python",
  javascript: "js", js: "js", jsx: "js", typescript: "js", ts: "js", tsx: "js",
  bash: "bash", sh: "bash", shell: "bash", zsh: "bash", console: "bash",
  json: "json", jsonc: "json", sql: "sql", sqlite: "sql", postgresql: "sql", mysql: "sql",
}; // prettier-ignore

// An open string or comment runs to the end of what is there: the next piece of text may close it.
const QUOTED = `"(?:\\\\[^]|[^"\\\\\\n])*"?|'(?:\\\\[^]|[^'\\\\\\n])*'?`;
const BLOCK = "/\\*[^]*?(?:\\*/|$)";
const STRINGS: Record<Language, string> = {
  python: `[bfrtuBFRTU]{0,2}(?:"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|${QUOTED})`,
  js: `${QUOTED}|\`(?:\\\\[^]|[^\`\\\\])*\`?`,
  bash: `"(?:\\\\[^]|[^"\\\\])*"?|'[^']*'?`,
  json: QUOTED,
  sql: QUOTED,
};
const COMMENTS: Record<Language, string> = {
  python: "#[^\\n]*",
  js: `//[^\\n]*|${BLOCK}`,
  bash: "#[^\\n]*",
  json: `//[^\\n]*|${BLOCK}`,
  sql: `--[^\\n]*|${BLOCK}`,
};
const KINDS = ["c", "s", "m", "w", "o"] as const;
const LONGEST = 100_000;

interface Rule {
  pattern: RegExp;
  words: Set<string>;
  fold: boolean;
}

function rule(language: string): Rule | null {
  const name = NAMES[language.toLowerCase()];
  if (!name) return null;
  const number = "(?<![\\w$])\\d(?:[\\w.]|(?<=[eE])[+-])*";
  const groups = [COMMENTS[name], STRINGS[name], number, "[\\p{L}_$][\\p{L}\\p{N}_$]*", "[-+*/%=<>!&|^~@:]"];
  return {
    pattern: new RegExp(groups.map((group) => `(${group})`).join("|") + "|\\s+|[^]", "uy"),
    words: new Set(WORDS[name].split(" ")),
    fold: name === "sql",
  };
}

/** Fills `el` with code as it comes. All but the last token are settled, so each character is read about once. */
export class Highlighter {
  private readonly rule: Rule | null;
  private length = 0;
  private tail = "";
  private open: ChildNode | null = null;

  constructor(
    private readonly el: HTMLElement,
    language: string,
  ) {
    this.rule = rule(language);
  }

  add(text: string): void {
    this.length += text.length;
    if (!this.rule || this.length > LONGEST) {
      this.tail = "";
      this.open = null;
      this.plain(text);
      return;
    }
    this.tail += text;
    this.open?.remove();
    let at = 0;
    while (at < this.tail.length) {
      const { kind, end } = this.token(this.rule, at);
      const piece = this.tail.slice(at, end);
      if (end === this.tail.length) {
        this.open = kind ? this.coloured(kind, piece) : this.el.appendChild(document.createTextNode(piece));
        break;
      }
      if (kind) this.coloured(kind, piece);
      else this.plain(piece);
      at = end;
    }
    this.tail = this.tail.slice(at);
  }

  private token({ pattern, words, fold }: Rule, at: number): { kind: string; end: number } {
    pattern.lastIndex = at;
    const match = pattern.exec(this.tail)!;
    const end = pattern.lastIndex;
    const kind = KINDS[match.slice(1).findIndex((group) => group !== undefined)] ?? "";
    if (kind !== "w") return { kind, end };
    if (words.has(fold ? match[0].toLowerCase() : match[0])) return { kind: "k", end };
    return { kind: this.tail[end] === "(" ? "nf" : "", end };
  }

  private coloured(kind: string, text: string): ChildNode {
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = text;
    return this.el.appendChild(span);
  }

  private plain(text: string): void {
    const last = this.el.lastChild;
    if (last instanceof Text) last.appendData(text);
    else this.el.append(text);
  }
}
