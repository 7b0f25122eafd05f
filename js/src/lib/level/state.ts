/** What the kernel says of the levels; all words are its own, and are shown as text. */

export interface Choice {
  label: string; // "3 deep"
  figure: string; // below it: "$0.005 · 11 s"
  detail: string; // the same with ranges, in a sentence
  off: boolean; // it cannot be chosen; the detail says why
}

export interface State {
  chosen: number; // of the choices, of which 0 is auto
  choices: Choice[];
  line: string; // why auto would take what it would, or what limits it
  tone: string;
  said: string; // what came of the last choice, "" for nothing to say
  field: string; // what the field says while it is empty
  answered: number; // the last question that was taken
}

export const EMPTY: State = { chosen: 0, choices: [], line: "", tone: "", said: "", field: "", answered: 0 };
