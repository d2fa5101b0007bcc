/** What was marked last, to be compared with what is opened next: a task, or one of its steps. */
export interface Mark {
  project: string;
  task: string;
  step: string | null;
  /** of the task */
  name: string;
}

export function writeMark({ project, task, step, name }: Mark): string {
  return [project, task, step ?? '', name || task.slice(0, 8)].join(' ');
}

/** Null for anything that is not a mark: it was stored in a browser, perhaps by an older release. */
export function readMark(text: string): Mark | null {
  const [project, task, step, ...name] = text.split(' ');
  if (!project || !task || step === undefined || name.length === 0) return null;
  return { project, task, step: step || null, name: name.join(' ') };
}

/** The address of a comparison; null where there is nothing to compare: another project, the same thing, a step with a task. */
export function comparisonOf(marked: Mark, here: Mark): string | null {
  if (marked.project !== here.project || (marked.step === null) !== (here.step === null)) return null;
  if (marked.task === here.task && marked.step === here.step) return null;
  const address = `/projects/${here.project}/compare?left=${marked.task}&right=${here.task}`;
  return here.step === null ? address : `${address}&ls=${marked.step}&rs=${here.step}`;
}
