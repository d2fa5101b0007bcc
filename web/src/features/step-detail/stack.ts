/** A stack as lines in groups: the program's own frames, and runs of library frames that can be collapsed. */

export interface StackGroup {
  library: boolean;
  /** frames in it (library groups) */
  frames: number;
  lines: string[];
}

const PYTHON_FRAME = /^\s*File "([^"]+)", line \d+/;
const JS_FRAME = /^\s*at .*?\(?((?:file:\/\/|node:|\/|[A-Z]:\\)[^)]*)\)?$/;
const LIBRARY =
  /site-packages|dist-packages|[/\\]lib[/\\]python\d|<frozen |[/\\]node_modules[/\\]|^node:|importlib[/\\]_bootstrap/;

/** Longer lines are no frames: the expressions for frames try every place of a line. */
const FRAME_CHARS_MAX = 1_000;
/** The lines of a longer stack follow the last group. */
const GROUPS_MAX = 200;

export function groupStack(stack: string): StackGroup[] {
  const groups: StackGroup[] = [];
  let inFrame = false;
  for (const line of stack.trimEnd().split('\n')) {
    const last = groups.at(-1);
    if (last && groups.length >= GROUPS_MAX) {
      last.lines.push(line);
      continue;
    }
    const file = line.length > FRAME_CHARS_MAX ? undefined : (PYTHON_FRAME.exec(line)?.[1] ?? JS_FRAME.exec(line)?.[1]);
    if (file !== undefined) {
      const library = LIBRARY.test(file);
      inFrame = true;
      if (last && last.library === library) {
        last.lines.push(line);
        last.frames++;
      } else groups.push({ library, frames: 1, lines: [line] });
    } else if (last && inFrame && /^\s{3,}|^\s*[~^]+\s*$/.test(line)) {
      // the source line and its marker belong to the frame above
      last.lines.push(line);
    } else {
      inFrame = false;
      if (last && !last.library) last.lines.push(line);
      else groups.push({ library: false, frames: 0, lines: [line] });
    }
  }
  return groups;
}
