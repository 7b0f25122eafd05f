"""The commands of this package, explained: one table for the options, one for the subcommands, one for how-to."""

from __future__ import annotations

import re

from .question import Question

__all__ = ["answer_command", "answer_how", "answer_identity", "answer_overview"]

OPTIONS: dict[str, tuple[str, str]] = {
    "level": ("--level auto|1-4", "how deep to think: 1 fast, 2 standard, 3 deep, 4 ultra; `auto` chooses by the task"),
    "complexity": ("--complexity TAG", "how hard the task is, in place of a level: simple, complex or complex_task"),
    "model": ("--model M", "the model for this cell, such as `openai-chat:NAME`, `anthropic:NAME` or `offline`"),
    "to": ("--to URI", "where this run goes: `agent://local`, a cluster `agent://NAME`, `ws://…` or `wss://…`"),
    "session": ("--session S", "the conversation it belongs to; another name is another memory"),
    "into": ("--into VAR", "put the answer into a variable, as a `Result` that is also a `str`"),
    "as": ("--as TYPE", "a class of the notebook, or `list[City]`: the `value` of the answer is one"),
    "agents": ("--agents A,B", "several agents side by side, such as `coder,tester,reviewer`, or agents of your own"),
    "mode": ("--mode parallel|pipeline", "all agents at once, or each with what those before it made"),
    "pool": ("--pool N", "how many of these agents work at once; the others wait"),
    "budget": ("--budget USD", "what this run may cost, in US dollars: the level is lowered to it, and it stops there"),
    "timeout": ("--timeout S", "stop after this many seconds; what came is kept"),
    "bg": ("--bg", "give the cell back at once with a `Run`; the answer streams on beneath it"),
    "plain": ("--plain", "plain text in place of the live view"),
    "vars": ("--vars A,B", "variables of the notebook to keep with the snapshot after it"),
    "attach": ("--attach A,B", "files or variables that go along: a picture, a table, text, a PDF"),
    "from": ("--from SNAPSHOT|SESSION", "begin the session there, as a branch"),
    "busy": ("--busy wait|branch", "while another run is at work in the session: wait for it, or work beside it"),
}

SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "connect": ("connect URI", "send runs to another gateway from now on"),
    "config": ("config [FILE]", "take what a configuration says, or show what applies now"),
    "model": ("model M", "use another model from now on"),
    "level": ("level L", "set the level from now on: `auto`, or 1 to 4"),
    "budget": ("budget [USD|off]", "what all runs of this notebook may cost together, and what they did"),
    "controls": ("controls", "choose the level by hand, with what each would cost and how long it would take"),
    "runs": ("runs", "list the runs of this kernel"),
    "cancel": ("cancel [RUN]", "stop one run, or all of them"),
    "allow": ("allow [ID]", "allow once what waits for your approval, such as a command of a gateway's agent"),
    "deny": ("deny [ID]", "deny what waits for your approval"),
    "wait": ("wait", "wait until the runs in the background have ended"),
    "sessions": ("sessions", "list the conversations, and what an earlier kernel left; at a gateway elsewhere its own"),
    "session": ("session [NAME|KEY]", "choose the conversation that cells talk in; `main` is the notebook's own"),
    "history": ("history [N]", "show what was said in a session, named by `--session S`"),
    "reset": ("reset", "begin a session anew, named by `--session S`; what was said in it is kept"),
    "agents": ("agents", "list who can be asked: the gateway's agents, or the roles of this notebook"),
    "agent": ("agent [NAME]", "choose the agent of a gateway elsewhere that cells ask"),
    "offers": ("offers", "list the functions that the assistant of a gateway elsewhere may call"),
    "models": ("models", "list the models of the gateway, and how deep each can think"),
    "usage": ("usage [--days N]", "show tokens and cost by model and day at the gateway, and of this notebook"),
    "pool": ("pool [N]", "how many agents work at once, at one task by `--per-task M`, and for how long"),
    "role": ("role [NAME [TEXT]]", "show what agents of a role are told, or change it"),
    "merge": ("merge [AGENT]", "take what an agent of the newest pool's run was asked and said into the session"),
    "snapshot": ("snapshot NAME", "keep this state under a name, with variables by `--vars A,B`"),
    "snapshots": ("snapshots", "show all that is kept, as a timeline"),
    "restore": ("restore [ID|NAME]", "go back to a state, or to where an earlier kernel was; a cut run goes on"),
    "branch": ("branch NEW [ID|NAME|SESSION]", "begin another session at a state"),
    "compare": ("compare A B", "put two sessions or snapshots side by side"),
    "keep": ("keep [data|beside|memory|FOLDER]", "say where snapshots lie, or change it"),
    "nested": ("nested on|off", "allow `asyncio.run()` in cells, or no longer"),
    "metrics": ("metrics [on|off]", "draw what was measured of all runs; `on` lets Prometheus read it on this machine"),
    "doctor": ("doctor", "check the installation and the connection, and say what to do"),
    "help": ("help", "show all of this"),
}

CONNECT = (
    "Name a model: `%openclaw model openai-chat:NAME` or `%openclaw model anthropic:NAME`, with the provider's key in "
    "the environment. Or connect a gateway that has one: `%openclaw connect ws://…`. For a single cell there are "
    "`--model M` and `--to URI`."
)

#: In order: the first pattern that a sentence matches answers it.
HOW_TO: tuple[tuple[str, str], ...] = (
    (r"\b(?:stop|interrupt|cancel|abort)(?: (?:it|this|you|(?:an? |the |my )?(?:run|answer|cell|model)s?)\b.*)?\W*$", (
        "Press **Stop** in the view, or interrupt the kernel (the ■ button, or `I` twice). It stops at once; what came "
        "is kept: on the page, in the variable, in the session. A run in the background stops with `%openclaw cancel`. "
        "Write `continue` to go on.")),
    (r"\b(?:use|insert|pass|put|include|send)\b.*\b(?:variables?|(?:data ?frames?|values?|data)\b.*\b(?:prompt|you))", (
        "Write its name in braces: `{name}`, `{name.attr}`, `{name[0]}` or `{name[\"key\"]}`. The value goes along as "
        "data: a DataFrame as its shape, dtypes, statistics and first rows, a figure or picture as an image. Braces "
        "around anything else stay as typed."
        "\n\n```\n%%openclaw\nWhich column of {sales} has gaps?\n```")),
    (r"\b(?:save|store|keep|get|use|access)\b.*\b(?:answer|response)\b", (
        "The answer is in `_`, as usual. With `--into VAR` it is also in a variable: a string that knows its level, "
        "tokens, cost and time.\n\n```\n%%openclaw --into plan\nPropose a chart for {sales}.\n```")),
    (r"\b(?:background|not block|without blocking|several (?:runs|cells))\b", (
        "`%%openclaw --bg` gives the cell back at once. `%openclaw runs` lists what is at work, `%openclaw wait` waits "
        "for it, `%openclaw cancel [RUN]` stops it.")),
    (r"\b(?:agents|roles?|side by side|pipeline|parallel|reviewers?|testers?)\b", (
        "`%%openclaw --agents coder,tester,reviewer` has each do the task in a lane of its own, with `--mode pipeline` "
        "one after the other, each with what those before it made. `--pool N` is how many work at once. "
        "`role(\"critic\", \"You …\")` of `openclaw_nb` makes a role of your own."
        "\n\n```\n%%openclaw --agents coder,tester,reviewer --mode pipeline\nImplement slugify.\n```")),
    (r"\b(?:snapshots?|restore|go back|undo|branch|crash(?:ed)?|kernel (?:died|restart(?:ed)?))\b", (
        "Every turn is kept as a snapshot. `%openclaw snapshot NAME` names a state, `%openclaw restore NAME` goes back "
        "to it, `%openclaw branch NEW NAME` begins another session there, `%openclaw snapshots` shows them all. After "
        "a crash `%openclaw restore` brings the conversation back and goes on with the answer that was cut.")),
    (r"\b(?:sessions?|conversations?|start over|forget)\b", (
        "A session is one conversation with a memory; it is `main` where you name none. `--session S` uses another one "
        "and `%openclaw sessions` lists them.")),
    (r"\b(?:reasoning )?level\b|\b(?:think|reason) (?:deeper|harder|longer|more|less)\b", (
        "`--level auto|1-4` for one cell, `%openclaw level L` from now on: 1 fast, 2 standard, 3 deep, 4 ultra. `auto` "
        "looks at the task and says which it took and why.")),
    (r"\bbudget\b|\b(?:limit|cap|see)\b.*\b(?:costs?|spend(?:ing)?|money)\b", (
        "`--budget USD` stops a run at its limit, `%openclaw budget USD` all runs of the notebook together; a level "
        "that would not fit is lowered before it is sent. What a run has cost stands in its footer. "
        "The offline model costs nothing.")),
    (r"\b(?:use|choose|set|change|switch|connect)\b.*\bmodel\b|\bconnect\W*$", CONNECT),
    (r"\b(?:configuration file|clusters? of gateways|gateway clusters?|several gateways|failover)\b|agent://\w", (
        "`%openclaw config FILE` takes what a YAML file says: the pool, the pace of text and snapshots, thresholds for "
        "alerts, and clusters of gateways by name; `OPENCLAW_NB_CONFIG` does so from the start. Then "
        "`%openclaw connect agent://NAME` or `--to agent://NAME` asks such a cluster. `openclaw-nb config example` "
        "prints a file with every setting explained, `openclaw-nb config check FILE` says what is wrong with one.")),
    (r"\b(?:real model|api key|openai|anthropic|claude|gpt|ollama|gateway)\b", CONNECT),
)  # fmt: skip

IDENTITY = (
    "I am the offline model of openclaw_nb. I am not a language model: I am a fixed set of skills that run in this "
    "process, send nothing anywhere, cost nothing, and answer the same question the same way each time."
)

SKILLS = (
    "- describe variables: `Describe {df}`",
    "- explain the last error: `explain the error`",
    "- look up documentation: `what does np.mean do`",
    "- calculate and convert: `15% of 80`, `72 F in C`",
    "- write, test and review a few small programs: `implement slugify`",
    "- remember this conversation: `what did I ask before`, `continue`",
    "- explain my commands: `how do I stop`, `what does --into do`",
    "- show how answers stream: `count to 100`, `show markdown`",
)


#: Where there is no answer at all, and where there is one to a part of the question.
NO_ANSWER = (
    "I cannot answer this: I am the offline model of openclaw_nb, not a language model, and I only do a few fixed "
    "things (`what can you do` lists them). For a real answer choose a model with `%openclaw model openai-chat:NAME` "
    "or `%openclaw model anthropic:NAME`, or connect a gateway with `%openclaw connect ws://…`."
)
SO_FAR = (
    "That is what can be said without a language model, which I am not. To have the rest answered: "
    "`%openclaw model openai-chat:NAME`, `%openclaw model anthropic:NAME` or `%openclaw connect ws://…`."
)


def answer_identity(match: re.Match[str], question: Question) -> str:
    return "\n\n".join([IDENTITY, "I can:", "\n".join(SKILLS), CONNECT])


def answer_overview(match: re.Match[str], question: Question) -> str:
    """All options and subcommands."""
    cell = _rows("", OPTIONS)
    line = _rows("%openclaw ", SUBCOMMANDS)
    return "\n".join([
        "A cell that begins with `%%openclaw` asks; its options stand on the first line, the prompt below.",
        "", "| option | what it does |", "|---|---|", *cell,
        "", "`%openclaw` alone shows where runs go and why. It takes:",
        "", "| command | what it does |", "|---|---|", *line,
    ])  # fmt: skip


def _rows(prefix: str, table: dict[str, tuple[str, str]]) -> list[str]:
    escaped = ((usage.replace("|", "\\|"), meaning) for usage, meaning in table.values())
    return [f"| `{prefix}{usage}` | {meaning} |" for usage, meaning in escaped]


def answer_command(match: re.Match[str], question: Question) -> str | None:
    """The options (``--bg``) and subcommands (``%openclaw wait``) that a sentence names; None if it names none."""
    lines = []
    for name in dict.fromkeys(re.findall(r"(?<![\w-])--([a-z]+)", match[0])):
        if name in OPTIONS:
            usage, meaning = OPTIONS[name]
            lines.append(f"`{usage}`: {meaning}.")
        else:
            lines.append(f"`%%openclaw` has no option `--{name}`.")
    for name in dict.fromkeys(re.findall(r"%openclaw +([a-z]+)", match[0])):
        if name in SUBCOMMANDS:
            usage, meaning = SUBCOMMANDS[name]
            lines.append(f"`%openclaw {usage}`: {meaning}.")
    return "\n\n".join(lines) or None


def answer_how(match: re.Match[str], question: Question) -> str | None:
    """How something is done with this package; None where the sentence asks about something else."""
    return next((text for pattern, text in HOW_TO if re.search(pattern, match[0], re.IGNORECASE)), None)
