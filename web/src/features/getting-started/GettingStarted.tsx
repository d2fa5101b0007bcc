import { useState } from 'react';
import { type ApiError, asApiError } from '../../api/problems';
import { createKey } from '../../api/queries';
import { CopyButton, ErrorStrip } from '../../ui/controls';
import { otelLines, SDK_EXAMPLE, sdkLines } from './lines';
import './getting-started.css';

/** What a project without tasks shows: the commands that send the first one, with the reader's key once it is created. */
export function GettingStarted({ project }: { project: string }) {
  const [key, setKey] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const origin = location.origin;

  const make = async () => {
    setBusy(true);
    setError(null);
    try {
      setKey((await createKey(project, 'first key')).key);
    } catch (thrown) {
      setError(asApiError(thrown));
    } finally {
      setBusy(false);
    }
  };

  return (
    <div className="getting-started">
      <div className="start-inner">
        <div className="start-head">
          <h1>Send your first task</h1>
          <span className="listening" role="status">
            <span className="live-dot" aria-hidden="true" /> listening…
          </span>
        </div>
        <p className="quiet">
          This page updates when the first event arrives. Use the SDK or OpenTelemetry; both work with the same key. The{' '}
          <a href="/docs/tutorials/quickstart/">quickstart</a> explains each line, and the documentation has a page for{' '}
          <a href="/docs/frameworks/">each framework</a>.
        </p>
        {error ? <ErrorStrip error={error} doing="Cannot create the key" onRetry={make} /> : null}
        <div className="key-call">
          {key === null ? (
            <>
              <p>Create an API key to fill in the commands below.</p>
              <button type="button" className="button primary" onClick={make} disabled={busy}>
                Create API key
              </button>
            </>
          ) : (
            <>
              <p>
                Your API key, shown only once: <code>{key}</code>
              </p>
              <CopyButton text={key} what="the key" label="Copy" />
            </>
          )}
        </div>
        <Lines
          title="Python"
          note="decorators; steps appear when they start"
          text={sdkLines(origin, key)}
          secret={key}
        />
        <Lines title="agent.py" note="example" text={SDK_EXAMPLE} secret={null} />
        <Lines
          title="OpenTelemetry"
          note="any instrumentation, no code changes"
          text={otelLines(origin, key)}
          secret={key}
        />
      </div>
    </div>
  );
}

interface LinesProps {
  title: string;
  note: string;
  text: string;
  secret: string | null;
}

function Lines({ title, note, text, secret }: LinesProps) {
  const mark = secret ?? '<your key>';
  const pieces = text.split(mark);
  return (
    <section className="command-lines">
      <div className="lines-head">
        <h2>
          {title} <small>{note}</small>
        </h2>
        <CopyButton text={text} what={`the ${title} commands`} label="Copy" />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it */}
      <pre tabIndex={0}>
        {pieces.map((piece, index) => (
          <span key={index}>
            {index > 0 ? <span className={secret ? 'secret' : 'hole'}>{mark}</span> : null}
            {piece}
          </span>
        ))}
      </pre>
    </section>
  );
}
