import { useEffect, useRef, useState } from 'react';
import { Icon } from '../../ui/Icon';
import './transfer.css';

/** Takes a file that is dropped anywhere on the page, or chosen by the button. The page keeps the file. */
export function ImportDrop({ onFile }: { onFile: (file: File | null) => void }) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
    const enter = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      // the pointer left the window
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      onFile(event.dataTransfer?.files[0] ?? null);
    };
    window.addEventListener('dragenter', enter);
    window.addEventListener('dragover', enter);
    window.addEventListener('dragleave', leave);
    window.addEventListener('drop', drop);
    return () => {
      window.removeEventListener('dragenter', enter);
      window.removeEventListener('dragover', enter);
      window.removeEventListener('dragleave', leave);
      window.removeEventListener('drop', drop);
    };
  }, [onFile]);
  return (
    <>
      <button
        type="button"
        className="button plain small square"
        aria-label="Import a file"
        title="Import a file, or drop it on this page"
        onClick={() => input.current?.click()}
      >
        <Icon name="upload" />
      </button>
      <input
        ref={input}
        type="file"
        hidden
        accept=".jsonl,.ndjson,.json"
        aria-label="File to import"
        onChange={(event) => {
          onFile(event.target.files?.[0] ?? null);
          event.target.value = '';
        }}
      />
      {over ? (
        <div className="drop-target" aria-hidden="true">
          <p>Drop the file to import its tasks</p>
        </div>
      ) : null}
    </>
  );
}
