import type { Fragment } from './code';

export function CodeText({ fragments }: { fragments: readonly Fragment[] }) {
  return fragments.map(([text, kind], index) =>
    kind === null ? (
      text
    ) : (
      <span key={index} className={`code-${kind}`}>
        {text}
      </span>
    ),
  );
}
