/** Cuts a file into parts that end at the end of a line, reading one part at a time. */

export const PART_BYTES = 2 * 1024 * 1024;
/** The service takes no larger request; a line may be as long as this. */
export const PART_BYTES_MAX = 16 * 1024 * 1024;
const NEWLINE = 10;

export interface FilePart {
  bytes: Uint8Array<ArrayBuffer>;
  /** lines of the file before this part */
  linesBefore: number;
  /** bytes of the file up to the end of this part */
  end: number;
}

export interface Sliceable {
  size: number;
  slice: (start: number, end: number) => { arrayBuffer: () => Promise<ArrayBuffer> };
}

/**
 * The parts of a file in order. A file that fits into one part is not cut: it may be one document over several lines.
 *
 * @throws RangeError a line is longer than the service takes; the message names it.
 */
export async function* fileParts(file: Sliceable, partBytes = PART_BYTES): AsyncGenerator<FilePart> {
  let start = 0;
  let linesBefore = 0;
  while (start < file.size) {
    const bytes = await readPart(file, start, partBytes, linesBefore);
    start += bytes.length;
    yield { bytes, linesBefore, end: start };
    linesBefore += countLines(bytes);
  }
}

async function readPart(
  file: Sliceable,
  start: number,
  partBytes: number,
  linesBefore: number,
): Promise<Uint8Array<ArrayBuffer>> {
  for (let size = partBytes; ; size *= 2) {
    const end = Math.min(file.size, start + Math.min(size, PART_BYTES_MAX));
    const bytes = new Uint8Array(await file.slice(start, end).arrayBuffer());
    if (end === file.size) return bytes;
    const last = bytes.lastIndexOf(NEWLINE);
    if (last >= 0) return bytes.slice(0, last + 1);
    if (size >= PART_BYTES_MAX) throw new RangeError(`Line ${linesBefore + 1} is longer than 16 MiB.`);
  }
}

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}
