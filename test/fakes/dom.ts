/** As much of a browser's document as the admin page uses. What it does not use is not there, and fails the test. */
import { createContext, runInContext } from 'node:vm';

export class FakeNode {
  readonly tag: string;
  readonly attributes = new Map<string, string>();
  children: (FakeNode | string)[] = [];
  readonly listeners = new Map<string, () => void>();
  hidden = false;
  title = '';
  value = '';

  constructor(tag: string) {
    this.tag = tag;
  }

  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }

  append(...children: (FakeNode | string)[]): void {
    this.children.push(...children);
  }

  replaceChildren(...children: (FakeNode | string)[]): void {
    this.children = children;
    if (this.tag === 'select') this.value = this.options[0]?.value ?? '';
  }

  addEventListener(event: string, listener: () => void): void {
    this.listeners.set(event, listener);
  }

  /** The one place that the page looks for by class. */
  querySelector(selector: string): FakeNode {
    const found = this.children.find(
      (child) =>
        child instanceof FakeNode && (child.tag === selector || `.${child.attributes.get('class')}` === selector),
    );
    if (!(found instanceof FakeNode)) throw new Error(`nothing is ${selector}`);
    return found;
  }

  get options(): { value: string }[] {
    return this.children
      .filter((child) => child instanceof FakeNode)
      .map((child) => ({
        value: (child as FakeNode).attributes.get('value') ?? '',
      }));
  }

  get length(): number {
    return this.children.length;
  }

  set textContent(text: string) {
    this.children = [text];
  }

  get textContent(): string {
    return this.children.map((child) => (typeof child === 'string' ? child : child.textContent)).join(' ');
  }

  /** Every element below, itself included. */
  *elements(): Generator<FakeNode> {
    yield this;
    for (const child of this.children) if (child instanceof FakeNode) yield* child.elements();
  }
}

export interface FakeBrowser {
  readonly document: { hidden: boolean };
  /** The element of that id. */
  at(id: string): FakeNode;
  /** Says to the page that an event happened to the document. */
  emit(event: string): void;
  /** Timers that are set, to be called by the test. */
  readonly timers: Map<number, () => void>;
  /** Paths that were asked for. */
  readonly asked: string[];
}

/** Runs `script` on a page whose elements are those with an id in `html`; `answer` is what a fetch gets. */
export function browse(html: string, script: string, answer: (path: string) => unknown): FakeBrowser {
  const byId = new Map<string, FakeNode>();
  for (const [, tag = '', id = ''] of html.matchAll(/<(\w+)[^>]*\sid="([\w-]+)"/g)) {
    const node = new FakeNode(tag);
    const value = new FakeNode('div');
    value.setAttribute('class', 'value');
    if (id.startsWith('tile-')) node.append(value, new FakeNode('svg'));
    byId.set(id, node);
  }
  const at = (id: string): FakeNode => {
    const node = byId.get(id);
    if (node === undefined) throw new Error(`the page has no element ${id}`);
    return node;
  };
  const timers = new Map<number, () => void>();
  const asked: string[] = [];
  const listeners = new Map<string, () => void>();
  let selected = 0;
  const document = {
    hidden: false,
    getElementById: at,
    createElement: (tag: string) => new FakeNode(tag),
    createElementNS: (_: string, tag: string) => new FakeNode(tag),
    addEventListener: (event: string, listener: () => void) => void listeners.set(event, listener),
    getSelection: () => '',
  };
  const globals = {
    document,
    performance,
    AbortSignal,
    setTimeout: (action: () => void) => {
      selected += 1;
      timers.set(selected, action);
      return selected;
    },
    clearTimeout: (timer: number) => timers.delete(timer),
    fetch: async (path: string) => {
      asked.push(path);
      return { ok: true, json: async () => JSON.parse(JSON.stringify(await answer(path))) };
    },
  };
  runInContext(script, createContext(globals));
  return { document, at, emit: (event) => listeners.get(event)?.(), timers, asked };
}
