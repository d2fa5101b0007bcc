import { useState } from 'react';
import { plural } from '../../ui/format';
import { type FoundDocument, shareOf } from './documents';
import { JsonView } from './Json';
import { LongText } from './Text';

const SHOWN = 20;
const CLAMPED = 400;

/** What a retrieval found, one card for each document, in the order in which it was answered. */
export function Documents({ documents, markdown }: { documents: FoundDocument[]; markdown: boolean }) {
  const [shown, setShown] = useState(SHOWN);
  return (
    <ol className="document-list">
      {documents.slice(0, shown).map((one, index) => (
        <DocumentCard key={index} place={index + 1} document={one} all={documents} markdown={markdown} />
      ))}
      {documents.length > shown ? (
        <li>
          <button type="button" className="button small" onClick={() => setShown(documents.length)}>
            {plural(documents.length - shown, 'more document')}
          </button>
        </li>
      ) : null}
    </ol>
  );
}

interface DocumentCardProps {
  place: number;
  document: FoundDocument;
  all: readonly FoundDocument[];
  markdown: boolean;
}

function DocumentCard({ place, document, all, markdown }: DocumentCardProps) {
  const { id, text, score, rest } = document;
  const [open, setOpen] = useState(text.length <= CLAMPED);
  return (
    <li className="document-card">
      <header>
        <span className="faint tnum">{place}</span>
        <b className="cut" dir="auto" title={id ?? undefined}>
          {id ?? ''}
        </b>
        {score === null ? null : (
          <span className="document-score tnum" title={`Score ${score}`}>
            <i style={{ width: `${shareOf(score, all) * 48}px` }} aria-hidden="true" />
            {Number(score.toPrecision(4))}
          </span>
        )}
      </header>
      {text === '' ? null : open ? (
        <LongText text={text} markdown={markdown} />
      ) : (
        <>
          <div className="text-body clamped" dir="auto">
            {text.slice(0, CLAMPED)}
          </div>
          <button type="button" className="button small plain more" onClick={() => setOpen(true)}>
            Show all
          </button>
        </>
      )}
      {Object.keys(rest).length > 0 ? <JsonView value={rest} depth={0} /> : null}
    </li>
  );
}
