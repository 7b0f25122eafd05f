/** What anywidget is given of a view: one attachment to its model, and any number of places that show it. */

import type { Model } from "./model";

interface Attached {
  render(el: HTMLElement): () => void;
  dispose(): void;
}

export const widget = (attach: (model: Model) => Attached) => () => {
  let attached: Attached;
  return {
    initialize({ model }: { model: Model }) {
      attached = attach(model);
      return attached.dispose;
    },
    render: ({ el }: { el: HTMLElement }) => attached.render(el),
  };
};
