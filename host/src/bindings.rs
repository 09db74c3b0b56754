//! The only generated module: the WIT package `everstep:host`, seen from the host.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "durable",
    imports: {
        "everstep:host/promises.wait-any": async | trappable,
        "everstep:host/promises.resolve": async | trappable,
        "everstep:host/promises.reject": async | trappable,
        "everstep:host/promises.cancel": async | trappable,
        "everstep:host/functions.spawn-detached": async | trappable,
        "everstep:host/functions.fail-on-halt": async | trappable,
        "everstep:host/files": async | trappable,
        "everstep:host/websocket.send": async | trappable,
        "everstep:host/websocket.close": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    trappable_error_type: { "everstep:host/types.error" => crate::bridge::Fault },
});
