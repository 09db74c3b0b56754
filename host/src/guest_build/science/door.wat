;; The adapter between CPython's one import, `host.call`, and our interfaces.
;;
;; A request of `host.call` is, in words of 4 bytes and little endian: what is asked, the number of pointers in it, the bytes that results are written to, the
;; places of the pointers, and the data. Pointers count from the start of the request; the adapter moves them. Answers lie in memory that `host_alloc` gives.
;; What the host hands over lies in a stretch of memory of the adapter's own, which is used anew by each call and only grows.
(module
  (import "env" "memory" (memory 0))
  (import "__main_module__" "host_alloc" (func $host_alloc (param i32) (result i32)))
  (import "__main_module__" "turn" (func $turn (param i32 i32) (result i32)))
{imports}
  ;; The stretch: its start, what of it is in use, and its end.
  (global $start (mut i32) (i32.const 0))
  (global $top (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))
  ;; Where the answer to a call of ours begins, and what of it lies in a stretch that was too small.
  (global $mark (mut i32) (i32.const 0))
  (global $old_mark (mut i32) (i32.const 0))
  (global $old_top (mut i32) (i32.const 0))
  ;; What the host has called: 0 `functions`, 1 `start`, 2 `resume`, with its parameters; and what Python has answered.
  (global $kind (mut i32) (i32.const 0))
  (global $p0 (mut i32) (i32.const 0))
  (global $p1 (mut i32) (i32.const 0))
  (global $p2 (mut i32) (i32.const 0))
  (global $p3 (mut i32) (i32.const 0))
  (global $answer (mut i32) (i32.const 0))

  ;; So many bytes of the stretch, aligned to 8; 0 if there is no memory.
  (func $take (param $length i32) (result i32)
    (local $at i32) (local $pages i32)
    (if (i32.gt_u (local.get $length) (i32.const 0x7fff0000)) (then (return (i32.const 0))))
    (if (i32.gt_u (local.get $length) (i32.sub (global.get $end) (global.get $top)))
      (then
        (local.set $pages (i32.shr_u (i32.add (local.get $length) (i32.const 0x1ffff)) (i32.const 16)))
        (if (i32.ne (global.get $end) (i32.shl (memory.size) (i32.const 16)))
          (then
            ;; Somebody else has grown the memory: a new stretch, of at least twice the size.
            (local.set $at (i32.shr_u (i32.sub (global.get $end) (global.get $start)) (i32.const 15)))
            (if (i32.lt_u (local.get $pages) (local.get $at)) (then (local.set $pages (local.get $at))))
            (local.set $at (memory.grow (local.get $pages)))
            (if (i32.eq (local.get $at) (i32.const -1)) (then (return (i32.const 0))))
            (global.set $old_mark (global.get $mark))
            (global.set $old_top (global.get $top))
            (global.set $start (i32.shl (local.get $at) (i32.const 16)))
            (global.set $mark (global.get $start))
            (global.set $top (global.get $start))
            (global.set $end (global.get $start)))
          (else
            (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then (return (i32.const 0))))))
        (global.set $end (i32.shl (memory.size) (i32.const 16)))))
    (local.set $at (global.get $top))
    (global.set $top (i32.and (i32.add (i32.add (local.get $at) (local.get $length)) (i32.const 7)) (i32.const -8)))
    (local.get $at))

  ;; A call of ours begins: what came before is not needed any more, unless it is the answer for the host.
  (func $begin
    (if (i32.eqz (global.get $answer)) (then (global.set $top (global.get $start))))
    (global.set $mark (global.get $top))
    (global.set $old_mark (global.get $top))
    (global.set $old_top (global.get $top)))

  (func $realloc (param $old i32) (param $old_length i32) (param $align i32) (param $length i32) (result i32)
    (local $at i32)
    (local.set $at (call $take (local.get $length)))
    (if (i32.eqz (local.get $at)) (then (unreachable)))
    (if (local.get $old)
      (then
        (memory.copy (local.get $at) (local.get $old)
          (select (local.get $old_length) (local.get $length) (i32.lt_u (local.get $old_length) (local.get $length))))))
    (local.get $at))
  (export "cabi_import_realloc" (func $realloc))
  (export "cabi_export_realloc" (func $realloc))

  ;; Copies a request into the stretch and moves its pointers; 0 if there is no memory.
  (func $moved (param $request i32) (param $length i32) (result i32)
    (local $at i32) (local $place i32) (local $last i32) (local $pointer i32)
    (local.set $at (call $take (local.get $length)))
    (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
    (memory.copy (local.get $at) (local.get $request) (local.get $length))
    (local.set $place (i32.add (local.get $at) (i32.const 12)))
    (local.set $last (i32.add (local.get $place) (i32.shl (i32.load offset=4 (local.get $at)) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $place) (local.get $last)))
        (local.set $pointer (i32.add (local.get $at) (i32.load (local.get $place))))
        (i32.store (local.get $pointer) (i32.add (i32.load (local.get $pointer)) (local.get $at)))
        (local.set $place (i32.add (local.get $place) (i32.const 4)))
        (br $next)))
    (local.get $at))

  ;; The address of the data of a request that was moved: it is aligned to 8.
  (func $data (param $at i32) (result i32)
    (i32.and
      (i32.add (i32.add (local.get $at) (i32.const 19)) (i32.shl (i32.load offset=4 (local.get $at)) (i32.const 2)))
      (i32.const -8)))

  ;; host.call: 0, or -2 if there is no memory. The answer is the value that was returned (8 bytes), and then twice an address, a length and what
  ;; lies there: what the host has handed over, in the order in which it has.
  (func $call (param $request i32) (param $length i32) (param $to i32) (param $to_length i32) (result i32)
    (local $what i32) (local $value i64) (local $at i32) (local $old i32) (local $new i32)
    (local.set $what (i32.load (local.get $request)))
    (if (i32.ne (local.get $what) (i32.const {taken}))
      (then
        (call $begin)
        (local.set $at (call $moved (local.get $request) (local.get $length)))
        (if (i32.eqz (local.get $at)) (then (return (i32.const -2))))
        (global.set $mark (global.get $top))
        (global.set $old_mark (global.get $top))
        (global.set $old_top (global.get $top))))
    (block $called
      (if (i32.eq (local.get $what) (i32.const {taken}))
        (then
          (local.set $value (i64.extend_i32_u (global.get $kind)))
          (br $called)))
      (if (i32.eq (local.get $what) (i32.const {answered}))
        (then
          (global.set $answer (call $data (local.get $at)))
          (br $called)))
      ;; What results are written to is the first that the answer holds.
      (local.set $new (call $take (i32.load offset=8 (local.get $at))))
      (if (i32.eqz (local.get $new)) (then (return (i32.const -2))))
      (memory.fill (local.get $new) (i32.const 0) (i32.load offset=8 (local.get $at)))
      (local.set $at (call $data (local.get $at)))
{calls}
      (unreachable))
    (local.set $old (i32.sub (global.get $old_top) (global.get $old_mark)))
    (local.set $new (i32.sub (global.get $top) (global.get $mark)))
    (local.set $length (i32.add (i32.const 40) (i32.add (local.get $old) (local.get $new))))
    (local.set $at (call $host_alloc (local.get $length)))
    (if (i32.eqz (local.get $at)) (then (return (i32.const -2))))
    (i32.store (local.get $to) (local.get $at))
    (i32.store (local.get $to_length) (local.get $length))
    (i64.store (local.get $at) (local.get $value))
    (i32.store offset=8 (local.get $at) (global.get $p0))
    (i32.store offset=12 (local.get $at) (global.get $p1))
    (i32.store offset=16 (local.get $at) (global.get $p2))
    (i32.store offset=20 (local.get $at) (global.get $p3))
    (i32.store offset=24 (local.get $at) (global.get $old_mark))
    (i32.store offset=28 (local.get $at) (local.get $old))
    (i32.store offset=32 (local.get $at) (global.get $mark))
    (i32.store offset=36 (local.get $at) (local.get $new))
    (memory.copy (i32.add (local.get $at) (i32.const 40)) (global.get $old_mark) (local.get $old))
    (memory.copy (i32.add (i32.add (local.get $at) (i32.const 40)) (local.get $old)) (global.get $mark) (local.get $new))
    (i32.const 0))
  (export "call" (func $call))

  ;; Has Python take what the host has called, and returns the place of its answer.
  (func $ask (param $kind i32) (param i32 i32 i32 i32) (result i32)
    (local $code i32)
    (global.set $kind (local.get $kind))
    (global.set $p0 (local.get 1))
    (global.set $p1 (local.get 2))
    (global.set $p2 (local.get 3))
    (global.set $p3 (local.get 4))
    (global.set $answer (i32.const 0))
    (local.set $code (call $host_alloc (i32.const 32)))
    (if (i32.eqz (local.get $code)) (then (unreachable)))
{code}
    (drop (call $turn (local.get $code) (i32.const 32)))
    (if (i32.eqz (global.get $answer)) (then (unreachable)))
    (global.get $answer))

  (func (export "{guest}#functions") (result i32)
    (call $ask (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
  (func (export "{guest}#start") (param i32 i32 i32 i32) (result i32)
    (call $ask (i32.const 1) (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "{guest}#resume") (param i32 i32) (result i32)
    (call $ask (i32.const 2) (local.get 0) (local.get 1) (i32.const 0) (i32.const 0)))

  ;; The host has read the answer.
  (func $forget (param i32)
    (global.set $answer (i32.const 0))
    (global.set $top (global.get $start))
    (global.set $mark (global.get $start))
    (global.set $old_mark (global.get $start))
    (global.set $old_top (global.get $start)))
  (export "cabi_post_{guest}#functions" (func $forget))
  (export "cabi_post_{guest}#start" (func $forget))
  (export "cabi_post_{guest}#resume" (func $forget)))
