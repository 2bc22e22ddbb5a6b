import { EventEmitter } from '#platform/event-emitter';

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
 * The methods of an `EventEmitter` with event names and arguments checked. `Events` maps the name of each event to the
 * arguments of its listeners. The type does not need Node's types. In Node, objects are instances of the `EventEmitter` of
 * `node:events`.
 */
export interface TypedEmitter<Events> {
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
  eventNames(): (string | symbol)[];
  setMaxListeners(n: number): this;
  getMaxListeners(): number;
}

/** The platform's `EventEmitter`, seen as a {@link TypedEmitter}. */
export const TypedEmitter = EventEmitter as unknown as new <Events>() => TypedEmitter<Events>;
