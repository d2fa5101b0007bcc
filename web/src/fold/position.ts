/** A place in the log as text, `version.partition.offset`, exclusive. Offsets stay below 2^53 in practice. */
export interface Position {
  version: number;
  partition: number;
  offset: number;
}

const TEXT = /^(\d{1,9})\.(\d{1,9})\.(\d{1,19})$/;

export function parsePosition(text: string | null | undefined): Position | null {
  const match = text ? TEXT.exec(text) : null;
  return match ? { version: Number(match[1]), partition: Number(match[2]), offset: Number(match[3]) } : null;
}

/** Whether `a` lies before `b`; false when they are not of the same partition and version, for then nothing is known. */
export function isBefore(a: string | null, b: string | null): boolean {
  const left = parsePosition(a);
  const right = parsePosition(b);
  if (!left || !right || left.version !== right.version || left.partition !== right.partition) return false;
  return left.offset < right.offset;
}
