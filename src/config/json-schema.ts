/** The configuration's JSON Schema, for editors, and for what meshproxy says of its own keys in help and errors. */
import { z } from 'zod';
import { configSchema } from './schema.js';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

let made: JsonSchema | undefined;

/** What a file may contain. Draft 7: what the YAML and JSON servers of editors support in full. */
export function configJsonSchema(): JsonSchema {
  made ??= z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' });
  return made;
}

export type Path = readonly (string | number)[];

/** The schema of what stands at `path`, or `undefined` where nothing may. */
export function schemaAt(path: Path, root: JsonSchema = configJsonSchema()): JsonSchema | undefined {
  let node: JsonSchema | undefined = root;
  for (const step of path) {
    const child: unknown =
      typeof step === 'number' ? node.items : (ownProperty(node.properties, step) ?? node.additionalProperties);
    if (!isSchema(child)) return undefined;
    node = child;
  }
  return node;
}

/** The keys that a mapping at `path` may have; empty where its keys are names, or where it is none. */
export function keysAt(path: Path, root?: JsonSchema): readonly string[] {
  return Object.keys(schemaAt(path, root)?.properties ?? {});
}

/** Where else `key` is known, as an operator would say it: `services.NAME`. */
export function placesOf(key: string, root: JsonSchema = configJsonSchema()): readonly string[] {
  const places: string[] = [];
  const visit = (node: JsonSchema, place: string): void => {
    if (ownProperty(node.properties, key) !== undefined) places.push(place === '' ? 'the top level' : place);
    for (const [name, child] of Object.entries(node.properties ?? {})) {
      if (isSchema(child)) visit(child, place === '' ? name : `${place}.${name}`);
    }
    if (isSchema(node.additionalProperties)) visit(node.additionalProperties, `${place}.NAME`);
  };
  visit(root, '');
  return places;
}

function ownProperty(object: Readonly<Record<string, unknown>> | undefined, key: string): unknown {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null;
}
