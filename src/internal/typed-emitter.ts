import { EventEmitter } from '#platform';

/** Event names and the arguments of their listeners. */
type EventMap = Record<string, unknown[]>;

/** Any event but the typed ones, which must match their own signature. */
type Other<Name, Events> = Name extends keyof Events ? never : Name;

/** An `EventEmitter` whose known events are typed; other names stay open for subclasses. */
export interface TypedEmitter<Events extends EventMap> extends EventEmitter {
  on<Name extends keyof Events & string>(event: Name, listener: (...args: Events[Name]) => void): this;
  on<Name extends string | symbol>(event: Other<Name, Events>, listener: (...args: never[]) => void): this;
  once<Name extends keyof Events & string>(event: Name, listener: (...args: Events[Name]) => void): this;
  once<Name extends string | symbol>(event: Other<Name, Events>, listener: (...args: never[]) => void): this;
  emit<Name extends keyof Events & string>(event: Name, ...args: Events[Name]): boolean;
  emit<Name extends string | symbol>(event: Other<Name, Events>, ...args: unknown[]): boolean;
}

/** `EventEmitter` from `node:events`, seen as a {@link TypedEmitter}. */
export const TypedEmitter = EventEmitter as unknown as new <Events extends EventMap>() => TypedEmitter<Events>;
