import { useMemo } from 'react';
import { exact } from '../../ui/format';
import { useLatestWorker } from '../execution-log/column-worker';
import { CHARS_MAX, type TextDifference as Difference, type Piece } from './words';

const open = () => new Worker(new URL('./words.worker.ts', import.meta.url), { type: 'module' });

interface Request {
  key: string;
  left: string;
  right: string;
}

interface Answer {
  key: string;
  difference: Difference;
}

/** Two texts as one, with what is only in the left one struck through and what is only in the right one underlined. */
export function TextDifference({ name, left, right }: { name: string; left: string; right: string }) {
  const key = `${left.length} ${right.length} ${left.slice(0, 200)} ${right.slice(0, 200)}`;
  const make = useMemo(
    () => (left === right ? null : (): [Request, Transferable[]] => [{ key, left, right }, []]),
    [key, left, right],
  );
  const answer = useLatestWorker<Request, Answer>(open, make);
  const known = answer?.key === key ? answer.difference : null;
  return (
    <section className="compare-text" aria-label={name}>
      <h3>{name}</h3>
      {left === '' && right === '' ? (
        <p className="quiet">Nothing recorded on either side.</p>
      ) : left === right ? (
        <p className="quiet">Equal.</p>
      ) : known === null ? (
        <div className="loading-bar" />
      ) : known.by === 'none' ? (
        <p className="quiet">The texts are too different to compare word by word.</p>
      ) : (
        <pre dir="auto">
          {known.pieces.map((piece, index) => (
            <Words key={index} piece={piece} />
          ))}
        </pre>
      )}
      {known && known.cut > 0 ? (
        <p className="quiet">Only the first {exact(CHARS_MAX)} characters are compared.</p>
      ) : null}
    </section>
  );
}

function Words({ piece: { text, side } }: { piece: Piece }) {
  if (side === 'left') return <del>{text}</del>;
  return side === 'right' ? <ins>{text}</ins> : text;
}
