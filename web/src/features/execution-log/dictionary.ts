/** A dictionary: words to small numbers and back. */
export class Dictionary {
  readonly list: string[] = [];
  private readonly places = new Map<string, number>();

  index(word: string): number {
    const known = this.places.get(word);
    if (known !== undefined) return known;
    this.places.set(word, this.list.length);
    return this.list.push(word) - 1;
  }

  /** The word of a number; empty for none. */
  at(index: number | undefined): string {
    return index === undefined ? '' : (this.list[index] ?? '');
  }
}
