import { useEffect, useRef, useState } from 'react';
import { asApiError } from '../../api/problems';
import { usePath } from '../../app/router';
import { CopyButton } from '../../ui/controls';
import { bytes } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { type Loaded, loadMedia } from './media';
import type { MediaPart } from './messages';
import './media.css';

/** An image, sound or file of a message, fetched when it comes into view; what is not stored says why. */
export function Media({ part }: { part: MediaPart }) {
  const { mime, name, sha256, transcript } = part;
  return (
    <figure className="media-part">
      {sha256 === null ? null : <Stored key={sha256} part={part} sha256={sha256} />}
      <figcaption>
        <span className="chip">{mime}</span>
        {part.bytes === null ? null : <span className="quiet tnum">{bytes(part.bytes)}</span>}
        {name ? <span className="cut">{name}</span> : null}
        {sha256 === null ? <Absence part={part} /> : null}
      </figcaption>
      {transcript ? (
        <blockquote dir="auto" className="media-words">
          {transcript}
        </blockquote>
      ) : null}
    </figure>
  );
}

function Absence({ part }: { part: MediaPart }) {
  if (part.absent === 'too_large')
    return <span className="faint">Not stored: larger than the limit of 768 KiB for one file.</span>;
  if (part.absent === 'too_many')
    return <span className="faint">Not stored: the step or its request had too many files.</span>;
  if (part.uri === null) return <span className="faint">Only described: the agent did not send its content.</span>;
  return (
    <>
      <span className="faint">Not sent. Its address:</span>
      <code className="cut">{part.uri.slice(0, 200)}</code>
      <CopyButton text={part.uri} what="the address" />
    </>
  );
}

function Stored({ part, sha256 }: { part: MediaPart; sha256: string }) {
  const project = usePath().split('/')[2] ?? '';
  const place = useRef<HTMLDivElement>(null);
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [isLarge, setLarge] = useState(false);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const element = place.current;
    if (!element || loaded) return;
    void attempt;
    let isGone = false;
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      loadMedia(project, sha256).then(
        (media) => isGone || setLoaded(media),
        (error: unknown) => isGone || setFailure(asApiError(error).message),
      );
    });
    observer.observe(element);
    return () => {
      isGone = true;
      observer.disconnect();
    };
  }, [project, sha256, loaded, attempt]);
  const label = part.name ?? part.mime;
  if (failure !== null) {
    return (
      <p className="media-failure">
        {failure}
        <button
          type="button"
          className="button small"
          onClick={() => {
            setFailure(null);
            setAttempt(attempt + 1);
          }}
        >
          Retry
        </button>
      </p>
    );
  }
  if (loaded === null) return <div ref={place} className="media-place" data-kind={part.mime.split('/')[0]} />;
  if (loaded.kind === 'image') {
    return (
      <button
        type="button"
        className="media-image"
        data-large={isLarge}
        aria-label={isLarge ? 'Show the image smaller' : 'Show the image in full size'}
        onClick={() => setLarge(!isLarge)}
      >
        <img
          src={loaded.url}
          alt={label}
          decoding="async"
          onError={() => setFailure('The browser cannot display this image.')}
        />
      </button>
    );
  }
  // biome-ignore lint/a11y/useMediaCaption: the transcript, where there is one, follows as text
  if (loaded.kind === 'audio') return <audio controls preload="metadata" src={loaded.url} aria-label={label} />;
  // biome-ignore lint/a11y/useMediaCaption: agents send none
  if (loaded.kind === 'video') return <video controls preload="metadata" src={loaded.url} aria-label={label} />;
  return (
    <a className="button small" href={loaded.url} download={part.name ?? `${sha256.slice(0, 16)}.bin`}>
      <Icon name="down" /> Download
    </a>
  );
}
