/** What the kernel says of a pool: how big it is, and how much of it is in use. */

/** What can be set, by the names that a pool has for it. */
export type Setting = "max_threads" | "max_per_task";

export interface State extends Record<Setting, number> {
  at_work: number;
  waiting: number;
  largest: number; // that either of them can be
  line: string; // why the last change was refused, in the kernel's words
  tone: string;
  answered: number; // the last question that was taken
}

export const EMPTY: State = {
  max_threads: 0, max_per_task: 0, at_work: 0, waiting: 0, largest: 1, line: "", tone: "", answered: 0,
};
