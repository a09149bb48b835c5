/** What differs between two configurations, one line for each difference, for the log of a reload. */
import type { Path } from './json-schema.js';
import { asRecord } from './plain.js';
import { formatPath } from './problems.js';
import { redact } from './redact.js';
import type { Config } from './schema.js';

/** `listeners.web: added`, `services.api.connectTimeout: 2s, was 5s`. Empty where nothing differs. */
export function describeChanges(before: Config, after: Config): string[] {
  return differences(redact(before), redact(after), []);
}

function differences(before: unknown, after: unknown, path: Path): string[] {
  const old = asRecord(before);
  const now = asRecord(after);
  const isNamed = path.length === 2 && (path[0] === 'listeners' || path[0] === 'services');
  if (isNamed && !old) return [`${formatPath(path)}: added`];
  if (isNamed && !now) return [`${formatPath(path)}: removed`];
  if (old && now) {
    const keys = new Set([...Object.keys(old), ...Object.keys(now)]);
    return [...keys].flatMap((key) => differences(old[key], now[key], [...path, key]));
  }
  const [was, is] = [write(before), write(after)];
  return was === is ? [] : [`${formatPath(path)}: ${is}, was ${was}`];
}

function write(value: unknown): string {
  if (value === undefined) return 'not set';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
