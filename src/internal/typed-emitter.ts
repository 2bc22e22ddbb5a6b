import { EventEmitter } from 'node:events';

/** The events that every `EventEmitter` has: a listener is about to be added, or has been removed. */
interface EmitterEvents {
  newListener: [event: string | symbol, listener: (...args: unknown[]) => void];
  removeListener: [event: string | symbol, listener: (...args: unknown[]) => void];
}

/** The name of an event. */
type EventName<Events> = keyof (Events & EmitterEvents) & string;

/** The arguments of an event's listeners. */
type Arguments<Events, Name> = Extract<(Events & EmitterEvents)[Name & EventName<Events>], unknown[]>;

/** A listener of an event. */
type Listener<Events, Name> = (...args: Arguments<Events, Name>) => void;

/**
 * An `EventEmitter` whose event names and arguments are checked. `Events` maps the name of each event to the arguments
 * of its listeners.
 */
export interface TypedEmitter<Events> extends EventEmitter {
  on<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): this;
  once<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): this;
  off<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): this;
  addListener<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): this;
  removeListener<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): this;
  prependListener<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): this;
  prependOnceListener<Name extends EventName<Events>>(event: Name, listener: Listener<Events, Name>): this;
  removeAllListeners(event?: EventName<Events>): this;
  listeners<Name extends EventName<Events>>(event: Name): Listener<Events, Name>[];
  rawListeners<Name extends EventName<Events>>(event: Name): Listener<Events, Name>[];
  listenerCount<Name extends EventName<Events>>(event: Name, listener?: Listener<Events, Name>): number;
  emit<Name extends EventName<Events>>(event: Name, ...args: Arguments<Events, Name>): boolean;
}

/** `EventEmitter` from `node:events`, seen as a {@link TypedEmitter}. */
export const TypedEmitter = EventEmitter as unknown as new <Events>() => TypedEmitter<Events>;
