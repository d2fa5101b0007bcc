import { CopyButton } from '../../ui/controls';

/** A new set of recovery codes, which the platform shows once. */
export function RecoveryCodes({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  const text = `${codes.join('\n')}\n`;
  return (
    <div className="recovery-codes" role="status">
      <p>
        <strong>Keep these recovery codes now.</strong> They are not shown again. Each signs you in once, without app or
        passkey.
      </p>
      <ul>
        {codes.map((code) => (
          <li key={code}>{code}</li>
        ))}
      </ul>
      <div className="factor-buttons">
        <CopyButton text={text} what="the recovery codes" label="Copy" />
        <a
          className="button"
          download="ams-recovery-codes.txt"
          href={`data:text/plain;charset=utf-8,${encodeURIComponent(text)}`}
        >
          Download
        </a>
        <button type="button" className="button" onClick={onClose}>
          I have kept them
        </button>
      </div>
    </div>
  );
}
