import { useEffect } from 'react';
import type { Project } from '../../api/types';
import { OuterShell } from '../../app/OuterShell';
import { Link } from '../../app/router';
import './factors.css';

/** In place of a project that requires a second factor, for a member without one: what to do. */
export function LockedProject({ name, others }: { name: string; others: Project[] }) {
  useEffect(() => {
    document.title = 'Second factor required · AMS';
  }, []);
  return (
    <OuterShell>
      <div className="page">
        <div className="page-inner locked-project">
          <h1>This project requires a second factor</h1>
          <p>
            The owners of <strong>{name}</strong> require that every member has two-step verification. Add an
            authenticator app or a passkey to your account; the project opens at once.
          </p>
          <Link to="/account" className="button primary">
            Go to your account
          </Link>
          {others.length > 0 ? (
            <>
              <h2>Your other projects</h2>
              <ul>
                {others.map((item) => (
                  <li key={item.project_id}>
                    <Link to={`/projects/${item.project_id}/tasks`}>{item.name}</Link>
                  </li>
                ))}
              </ul>
            </>
          ) : null}
        </div>
      </div>
    </OuterShell>
  );
}
