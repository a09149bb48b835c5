/** An output that keeps what is written to it. */
import type { Output } from '../../src/cli/table.js';

export class FakeOutput implements Output {
  readonly width: number | undefined;
  readonly colour: boolean;
  text = '';
  readonly #written: (() => void)[] = [];

  /** Without a width it is a pipe; with one, a terminal with colours. */
  constructor(width?: number) {
    this.width = width;
    this.colour = width !== undefined;
  }

  write(text: string): void {
    this.text += text;
    for (const done of this.#written.splice(0)) done();
  }

  /** Resolves when something is written the next time. */
  written(): Promise<void> {
    return new Promise((resolve) => this.#written.push(resolve));
  }

  get lines(): string[] {
    return this.text.trimEnd().split('\n');
  }
}
