/** What the text worker does, and how its messages look. */
import type { Fragment } from './code';
import type { MarkdownTree } from './markdown';

export type Job =
  | { kind: 'markdown'; text: string }
  | { kind: 'indent'; text: string }
  | { kind: 'highlight'; text: string; language: string };

/** null: show the text as it is */
export interface Results {
  markdown: MarkdownTree | null;
  indent: string | null;
  highlight: Fragment[] | null;
}

export type ResultOf<J extends Job> = Results[J['kind']];

export interface Request {
  id: number;
  job: Job;
}

/** The first message of a worker is `ready`, so that the time of a job does not include that of loading the worker. */
export type Reply = { ready: true } | { id: number; result: Results[keyof Results] };
