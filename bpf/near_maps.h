/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/* The maps of the same-host lanes. Sizes are those of bpf/near_abi.h unless the loader sets others. */
#include <bpf/bpf_helpers.h>

#include "bpf/near_abi.h"

/* Tests build the programs with rules that can be switched off; everybody else gets the constant. */
#ifndef BROKEN
#define BROKEN(rule) 0
#endif

/* Fields that user space, or a program on another CPU, reads and writes at the same time. */
#define LOAD(field) (*(const volatile typeof(field) *)&(field))
#define STORE(field, value) (*(volatile typeof(field) *)&(field) = (value))

/* The records of directions, mapped into user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, NEAR_SLOTS_DEFAULT);
	__type(key, __u32);
	__type(value, struct near_record);
} near_records SEC(".maps");

struct near_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NEAR_RING_BYTES);
};

/* Worker -> its ring of struct near_event. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, NEAR_RINGS_MAX);
	__type(key, __u32);
	__array(values, struct near_ring);
} near_rings SEC(".maps");

/* Cookie of a near socket -> the direction whose source it is. Written by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NEAR_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, struct near_handle);
} near_of SEC(".maps");

/*
 * Cookie of either end of a connection that hops -> the record of what this end sends. Written by user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NEAR_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, struct near_handle);
} hop_of SEC(".maps");

/*
 * Cookie -> what is known of the socket. User space may only read: with addresses of its own choice it could
 * make the program look at any memory of the kernel.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY | BPF_F_NO_PREALLOC);
	__uint(max_entries, 4 * NEAR_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, struct near_end);
} near_ends SEC(".maps");

/*
 * Near sockets, and our own ends of connections that hop, by cookie: the sk_msg program is attached to this
 * map, `direct` and hops redirect into it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 2 * NEAR_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, __u64);
} near_sockets SEC(".maps");

/* One socket of ours that is shut down: what is redirected into it fails (hop_refuse()). */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} near_dam SEC(".maps");

/* Cookies of the gateway's sockets that are about to connect. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NEAR_EXPECTED_MAX);
	__type(key, __u64);
	__type(value, __u32);
} near_announced SEC(".maps");

/* Addresses of listeners of ours -> flags, which are user space's own. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NEAR_LISTENERS_MAX);
	__type(key, struct near_listener);
	__type(value, __u32);
} near_listeners SEC(".maps");

/*
 * Connections whose passive side is established next, within microseconds when it is on this host. Those of
 * other hosts are never asked for again and are pushed out.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NEAR_EXPECTED_MAX);
	__type(key, struct near_connection);
	__type(value, struct near_expected);
} near_expected SEC(".maps");

/* enum near_reason -> falls. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NEAR_REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} near_falls SEC(".maps");

/* The same of connections that hop. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NEAR_REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} hop_falls SEC(".maps");
