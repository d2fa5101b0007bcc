import { Component, type ReactNode } from 'react';

/** A fault of the page itself: says so, and offers the way out, instead of a white page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    if (!this.state.error) return this.props.children;
    return (
      <main className="plain-page">
        <h1>This page has a fault</h1>
        <p className="quiet">Nothing of your data is affected. Reloading helps in most cases.</p>
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
