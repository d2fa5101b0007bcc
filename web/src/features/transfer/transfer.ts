/** Export and import of tasks: what is sent and received, without pictures. */
import { answerTo, withQuery } from '../../api/http';
import { ApiError } from '../../api/problems';
import type { ImportAnswer } from '../../api/types';
import { fileParts } from './file-parts';

export type ExportFormat = 'ams' | 'jsonl' | 'otlp';

export interface ExportProgress {
  bytes: number;
  steps: number;
  stepsExpected: number;
}

const MARKS: Record<ExportFormat, string> = { ams: '\n', jsonl: '\n', otlp: '"startTimeUnixNano":' };

/** The address of an export of one task, or of several. */
export function exportPath(project: string, tasks: readonly string[]): string {
  const [only] = tasks;
  return tasks.length === 1 ? `/api/traces/${project}/tasks/${only}/export` : `/api/traces/${project}/export`;
}

/** Read an export; reports the progress. A connection that ends early is an error, not a short file. */
export async function readExport(
  project: string,
  tasks: readonly string[],
  format: ExportFormat,
  payloads: boolean,
  signal: AbortSignal,
  onProgress: (progress: ExportProgress) => void,
): Promise<{ blob: Blob; name: string }> {
  const path = withQuery(exportPath(project, tasks), {
    format,
    payloads: payloads ? null : 'false',
    task_id: tasks.length === 1 ? null : tasks.join(','),
  });
  const response = await answerTo(path, { signal });
  const stepsExpected = Number(response.headers.get('ams-export-steps') ?? 0);
  const name =
    /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? `export.${format}.jsonl`;
  const reader = response.body?.getReader();
  if (!reader) throw new ApiError(0, 'unexpected', 'The browser cannot read the answer.');
  const decoder = new TextDecoder();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  let steps = 0;
  for (;;) {
    const { done, value } = await read(reader, signal);
    if (done) break;
    chunks.push(value);
    bytes += value.length;
    steps += decoder.decode(value, { stream: true }).split(MARKS[format]).length - 1;
    onProgress({ bytes, steps: Math.min(steps, stepsExpected), stepsExpected });
  }
  const last = chunks.at(-1);
  const cut = format !== 'otlp' && !new TextDecoder().decode(last?.slice(-200)).includes('"kind":"end"');
  if (cut) throw new ApiError(0, 'incomplete', 'The export ended early. Try again.');
  return { blob: new Blob(chunks, { type: 'application/x-ndjson' }), name };
}

async function read(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer>>> {
  try {
    return await reader.read();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, 'incomplete', 'The export ended early. Try again.');
  }
}

/** Give a file to the person. */
export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export type ImportFault = ImportAnswer['faults'][number];

export interface ImportState {
  bytes: number;
  accepted: number;
  rejected: number;
  /** the first faults, with their lines in the file */
  faults: ImportFault[];
  tasks: string[];
  /** the file is an archive that is complete, or no archive */
  ended: boolean;
  archive: boolean;
}

export const FAULTS_SHOWN = 100;
const TASKS_KEPT = 1_000;

/** Send a file in parts. A part that fails is not repeated here: importing the whole file again changes nothing that arrived. */
export async function importFile(
  project: string,
  file: File,
  copyAs: string | null,
  signal: AbortSignal,
  onProgress: (state: ImportState) => void,
): Promise<ImportState> {
  const tasks = new Set<string>();
  let state: ImportState = { bytes: 0, accepted: 0, rejected: 0, faults: [], tasks: [], ended: false, archive: false };
  for await (const part of fileParts(file)) {
    const response = await answerTo(`/api/ingest/${project}/import`, {
      method: 'POST',
      raw: { body: part.bytes, type: 'application/x-ndjson' },
      query: { copy_as: copyAs },
      signal,
    });
    const answer = (await response.json()) as ImportAnswer;
    for (const task of answer.tasks) if (tasks.size < TASKS_KEPT) tasks.add(task);
    const moved = answer.faults.map((fault) => ({ ...fault, line: fault.line + part.linesBefore }));
    state = {
      bytes: part.end,
      accepted: state.accepted + answer.accepted,
      rejected: state.rejected + answer.rejected,
      faults: [...state.faults, ...moved].slice(0, FAULTS_SHOWN),
      tasks: [...tasks],
      ended: state.ended || answer.ended,
      archive: state.archive || isArchive(part.bytes),
    };
    onProgress(state);
  }
  return state;
}

function isArchive(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.slice(0, 64)).startsWith('{"kind":"ams.archive"');
}

/** A word that makes the ids of a copy: another one for each import. */
export function copyWord(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => (byte % 36).toString(36)).join('');
}
