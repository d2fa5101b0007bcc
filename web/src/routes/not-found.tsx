import { Link } from '../app/router';

export function NotFound({ what }: { what: string }) {
  return (
    <main className="plain-page">
      <h1>No such {what}</h1>
      <p className="quiet">It was deleted, or it belongs to a project that is not yours, or the address has a slip.</p>
      <p>
        <Link className="button" to="/">
          To my projects
        </Link>
      </p>
    </main>
  );
}
