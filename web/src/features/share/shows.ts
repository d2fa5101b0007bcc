/** What visitors of a public link see: the same lists as in the documentation of the platform. */
export const SHOWN = {
  always:
    'Names, types, order and times of the steps; agents, models and tools; tokens and cost; status and the type of an error.',
  payloads:
    'Inputs, outputs, tool arguments, messages and stacks of errors, log lines, parameters, tags, images and files.',
  never:
    'Other tasks, lists, scores, agents, members and statistics of the project; the user and session of the task; attributes of spans.',
} as const;

/** In one sentence, for a link that exists. */
export function showsText(payloads: boolean): string {
  return payloads ? 'With contents' : 'Structure only';
}
