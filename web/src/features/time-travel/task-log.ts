/** The records of a task's events as the log has them: lines that are read as they arrive. */
import { answerTo } from '../../api/http';
import { ApiError } from '../../api/problems';
import type { Batch } from '../../api/types';

export interface TaskRecord {
  /** after this record, such as `1.7.4211` */
  position: string;
  offset: number;
  /** the log's clock, milliseconds UTC */
  at_ms: number;
  batch: Batch;
}

interface End {
  end: true;
  position: string;
}

/**
 * Read the log of a task.
 *
 * @returns the position up to which it was read.
 */
export async function readTaskLog(
  project: string,
  task: string,
  after: string | null,
  signal: AbortSignal,
  onRecords: (records: TaskRecord[]) => void,
): Promise<string> {
  const response = await answerTo(`/api/traces/${project}/tasks/${task}/log`, { signal, query: { after } });
  const reader = response.body?.getReader();
  if (!reader) throw new ApiError(0, 'unexpected', 'The browser cannot read the answer.');
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + decoder.decode(value, { stream: !done })).split('\n');
    rest = lines.pop() ?? '';
    const found: TaskRecord[] = [];
    for (const line of lines) {
      if (!line) continue;
      const read = JSON.parse(line) as Omit<TaskRecord, 'offset'> | End;
      if ('end' in read) {
        if (found.length > 0) onRecords(found);
        return read.position;
      }
      found.push({ ...read, offset: offsetOf(read.position) });
    }
    if (found.length > 0) onRecords(found);
    if (done) throw new ApiError(0, 'incomplete', 'The log ended early. Try again.');
  }
}

/** The offset of a position; NaN when it is none. */
export function offsetOf(position: string): number {
  return /^\d+\.\d+\.\d+$/.test(position) ? Number(position.slice(position.lastIndexOf('.') + 1)) : Number.NaN;
}
