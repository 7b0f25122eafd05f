/** What every widget carries: it fetches its view's code from the kernel's library widget for it, once per page. */

declare const __HASH__: string;

type Any = any; // the loader is kept below 1.2 kB; the library has the types

const page = globalThis as Any;
const keyOf = (model: Any) => `openclaw_nb:${__HASH__}:${model.get("_anywidget_id")}`;

async function fetchLibrary(model: Any): Promise<Any> {
  for (let wait = 20; ; wait *= 2) {
    try {
      const library = await model.widget_manager.get_model(model.get("_library"));
      const url = URL.createObjectURL(new Blob([library.get("source")], { type: "text/javascript" }));
      return await import(url).finally(() => URL.revokeObjectURL(url));
    } catch (error) {
      // After a reload of the page the models come back in any order.
      if (wait > 3000) throw error;
      await new Promise((resume) => setTimeout(resume, wait));
    }
  }
}

export default () => {
  let view: Promise<Any>;
  return {
    initialize({ model }: Any) {
      const early: unknown[] = [];
      const key = keyOf(model);
      const keep = (message: unknown) => early.push(message);
      model.on("msg:custom", keep);
      page[key] ??= fetchLibrary(model);
      view = page[key].then((library: Any) => {
        model.off("msg:custom", keep);
        return library.attach(model, early);
      });
      view.catch(() => delete page[key]);
      return () => view.then((shown) => shown.dispose());
    },
    async render({ model, el }: Any) {
      try {
        return (await view).render(el);
      } catch {
        // No library: the text the model itself carries is better than nothing.
        const show = () => (el.textContent = model.get("text"));
        model.on("change:text", show);
        show();
      }
    },
  };
};
