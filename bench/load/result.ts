/** What a load program reports: one line of JSON, from native/ and node/ alike. */
import { z } from 'zod';

const loadResult = z.object({
  /** How many requests, connections or bytes went through, whichever the program counts. */
  units: z.number().nonnegative(),
  /** From the first byte sent to the last answer. */
  seconds: z.number().positive(),
  /** Requests that were not answered, or wrongly. */
  errors: z.number().nonnegative(),
  /** `[nanoseconds, how many]`; empty where the program measures none. */
  latencies: z.array(z.tuple([z.number().nonnegative(), z.number().positive()])),
});

export type LoadResult = Readonly<z.infer<typeof loadResult>>;

/** Reads the last line of a load program's output; throws where it is not a result. */
export function parseLoadResult(output: string): LoadResult {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new Error(`a load program ended without a result; its last line was ${JSON.stringify(line.slice(0, 200))}`, {
      cause,
    });
  }
  return loadResult.parse(json);
}
