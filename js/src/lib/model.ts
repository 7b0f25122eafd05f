/** The part of an anywidget model that is used here. */

export interface Model {
  get(name: string): unknown;
  on(event: string, listener: (message: unknown) => void): void;
  off(event: string, listener: (message: unknown) => void): void;
  send(content: unknown): void;
}
