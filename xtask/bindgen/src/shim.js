// The worker's entry: calls into the WASM instance, and makes a fresh instance after a panic instead of failing for ever.
import { WorkerEntrypoint } from "cloudflare:workers";
import * as wasm from "./index.js";

Error.stackTraceLimit = 100;

// Shared with the `worker` crate's runtime: `criticalError` asks for a fresh instance, `instanceId` counts them.
const state = wasm.__worker_init_state();

function refresh() {
  if (!state.criticalError) return;
  console.log("WASM instance lost to a panic; starting a fresh one");
  wasm.__wbg_reset_state();
  state.criticalError = false;
  state.instanceId++;
}

function note(error) {
  if (error instanceof WebAssembly.RuntimeError) {
    console.error("critical", error);
    state.criticalError = true;
  }
}

addEventListener("error", (event) => note(event.error));

// A method as the platform sees it: it notices when the instance dies under it.
function guarded(method) {
  return new Proxy(method, {
    apply(target, self, values) {
      refresh();
      try {
        const result = target.apply(self, values);
        if (typeof result?.then !== "function") return result;
        return result.then(undefined, (error) => {
          note(error);
          throw error;
        });
      } catch (error) {
        note(error);
        throw error;
      }
    },
  });
}

// Objects outlive WASM instances: one made in a lost instance is made anew, from the same arguments, when it is used next.
const recovering = {
  construct(type, values, newTarget) {
    const make = () => Reflect.construct(type, values, newTarget);
    try {
      refresh();
      const held = { object: make(), instanceId: state.instanceId };
      const forward = (operation) => (target, ...rest) => Reflect[operation](target.object, ...rest);
      return new Proxy(held, {
        set: forward("set"),
        has: forward("has"),
        deleteProperty: forward("deleteProperty"),
        getPrototypeOf: forward("getPrototypeOf"),
        setPrototypeOf: forward("setPrototypeOf"),
        isExtensible: forward("isExtensible"),
        preventExtensions: forward("preventExtensions"),
        defineProperty: forward("defineProperty"),
        getOwnPropertyDescriptor: forward("getOwnPropertyDescriptor"),
        ownKeys: forward("ownKeys"),
        get(target, name, receiver) {
          if (target.instanceId !== state.instanceId) {
            target.object = make();
            target.instanceId = state.instanceId;
          }
          const value = Reflect.get(target.object, name, receiver);
          return typeof value === "function" ? guarded(value) : value;
        },
      });
    } catch (error) {
      state.criticalError = true;
      throw error;
    }
  },
};

class Worker extends WorkerEntrypoint {}

