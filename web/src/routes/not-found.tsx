import type { ReactNode } from 'react';
import { Link } from '../app/router';

export function NotFound({ what, children }: { what: string; children?: ReactNode }) {
  return (
    <div className="plain-page">
      <h1>{`${what.charAt(0).toUpperCase()}${what.slice(1)} not found`}</h1>
      <p className="quiet">It does not exist, it was deleted, or you have no access to it.</p>
      {children}
      <p>
        <Link className="button" to="/">
          Go to my projects
        </Link>
      </p>
    </div>
  );
}
