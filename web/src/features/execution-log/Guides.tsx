import { memo } from 'react';
import { LEVELS_MAX } from './guides';

const LEVEL = 14;
const HEIGHT = 28;
const MIDDLE = HEIGHT / 2;

interface GuidesProps {
  letters: string;
  depth: number;
  orphan: boolean;
  leaf: boolean;
}

/** The lines of a row, as at most three paths: ordinary, to an error, to the selection. */
export const Guides = memo(function Guides({ letters, depth, orphan, leaf }: GuidesProps) {
  const levels = Math.min(depth, LEVELS_MAX);
  const width = levels * LEVEL;
  const paths: Record<string, string> = {};
  const add = (colour: string, line: string) => {
    if (colour !== '.') paths[colour] = (paths[colour] ?? '') + line;
  };
  for (let level = 0; level * 3 < letters.length; level++) {
    const [above = '.', below = '.', elbow = '.'] = letters.slice(level * 3, level * 3 + 3);
    const x = level * LEVEL + 8;
    if (level === levels) {
      add(below, `M${x} ${MIDDLE + 7}V${HEIGHT}`);
    } else if (elbow === '.') {
      add(below, `M${x} 0V${HEIGHT}`);
    } else {
      const end = leaf ? x + 20 : x + 7;
      add(above, `M${x} 0V${MIDDLE - 5}`);
      add(elbow, `M${x} ${MIDDLE - 5}a5 5 0 0 0 5 5H${end}`);
      add(below, `M${x} ${MIDDLE - 5}V${HEIGHT}`);
    }
  }
  return (
    <svg className={orphan ? 'step-guides orphan' : 'step-guides'} width={width} height={HEIGHT} aria-hidden="true">
      {paths.n ? <path d={paths.n} /> : null}
      {paths.e ? <path className="to-error" d={paths.e} /> : null}
      {paths.s ? <path className="to-selection" d={paths.s} /> : null}
    </svg>
  );
});
