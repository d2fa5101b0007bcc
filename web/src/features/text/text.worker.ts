/** Runs what may take long on a hostile text: the page waits a limited time, and ends this worker when it takes longer. */
import { highlight } from './code';
import type { Job, Reply, Request, Results } from './jobs';
import { indentJson } from './json-text';
import { parseMarkdown } from './markdown';

function run(job: Job): Results[keyof Results] {
  if (job.kind === 'markdown') return parseMarkdown(job.text);
  if (job.kind === 'indent') return indentJson(job.text);
  return highlight(job.text, job.language);
}

const reply = (message: Reply): void => self.postMessage(message);

self.onmessage = ({ data }: MessageEvent<Request>) => {
  let result: Results[keyof Results] = null;
  try {
    result = run(data.job);
  } catch {
    // a stack that is too deep, or memory: shown as plain text
  }
  reply({ id: data.id, result });
};
reply({ ready: true });
