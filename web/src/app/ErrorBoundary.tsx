import { Component, type ReactNode } from 'react';

/** Shows an error of the page itself instead of a blank page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    if (!this.state.error) return this.props.children;
    return (
      <main className="plain-page">
        <h1>Something went wrong</h1>
        <p className="quiet">This page failed to render. Your data is not affected. Reload the page to try again.</p>
        <pre className="code-block">{this.state.error.stack ?? this.state.error.message}</pre>
        <p>
          <button type="button" className="button primary" onClick={() => location.reload()}>
            Reload
          </button>
        </p>
      </main>
    );
  }
}
