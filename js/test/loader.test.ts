import { afterEach, expect, it, vi } from "vitest";
import loader from "../src/loader";
import { TestModel } from "./helpers";

const page = globalThis as unknown as Record<string, unknown>;
const VIEW = { _anywidget_id: "a.View" };

afterEach(() => {
  for (const name of ["a.View", "another.View"]) delete page[`openclaw_nb:test:${name}`];
  vi.restoreAllMocks();
});

it("hands the messages that came early to a library fetched once for all models", async () => {
  let ready: (library: unknown) => void = () => {};
  page["openclaw_nb:test:a.View"] = new Promise((resume) => (ready = resume));
  const attached: unknown[][] = [];
  const model = new TestModel(VIEW);
  const widget = loader();
  const close = widget.initialize({ model });
  model.receive("early");
  const render = widget.render({ model, el: document.createElement("div") });
  ready({ attach: (_: unknown, early: unknown[]) => (attached.push(early), { render: () => "shown", dispose() {} }) });
  expect(await render).toBe("shown");
  model.receive("late");
  expect(attached).toEqual([["early"]]);
  await close();
});

it("takes no library of another kind of view", async () => {
  const attached: string[] = [];
  const library = (name: string) => Promise.resolve({ attach: () => (attached.push(name), { dispose() {} }) });
  page["openclaw_nb:test:a.View"] = library("a");
  page["openclaw_nb:test:another.View"] = library("another");
  const close = loader().initialize({ model: new TestModel({ _anywidget_id: "another.View" }) });
  await close();
  expect(attached).toEqual(["another"]);
});

it("shows the plain text of the model where there is no library", async () => {
  page["openclaw_nb:test:a.View"] = Promise.reject(new Error("no library"));
  const model = new TestModel({ ...VIEW, text: "some <b>text</b>" });
  const widget = loader();
  widget.initialize({ model });
  const el = document.createElement("div");
  await widget.render({ model, el });
  expect(el.innerHTML).toBe("some &lt;b&gt;text&lt;/b&gt;");
  expect(page["openclaw_nb:test:a.View"]).toBeUndefined();
});
