/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/* The maps of the same-host lanes. The sizes are those of bpf/local_abi.h unless the loader sets others. */
#include <bpf/bpf_helpers.h>

#include "bpf/local_abi.h"

/* Tests build the programs with rules that can be switched off; elsewhere BROKEN() is the constant 0. */
#ifndef BROKEN
#define BROKEN(rule) 0
#endif

/* For fields that user space, or a program on another CPU, accesses at the same time. */
#define LOAD(field) (*(const volatile typeof(field) *)&(field))
#define STORE(field, value) (*(volatile typeof(field) *)&(field) = (value))

/* The records of directions, mapped into user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LOCAL_SLOTS_DEFAULT);
	__type(key, __u32);
	__type(value, struct local_record);
} local_records SEC(".maps");

struct local_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LOCAL_RING_BYTES);
};

/* Worker -> its ring of struct local_lane_event. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, LOCAL_RINGS_MAX);
	__type(key, __u32);
	__array(values, struct local_ring);
} local_rings SEC(".maps");

/* Cookie of a local application's socket -> the direction whose source it is. Written by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LOCAL_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, struct local_handle);
} local_of SEC(".maps");

/*
 * Maps the socket cookie of each end of a bypassed connection to the record of the bytes that this end
 * sends. User space writes the entries.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LOCAL_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, struct local_handle);
} bypass_of SEC(".maps");

/*
 * Cookie -> the socket's entry. User space may only read: if it could store addresses, it could make the
 * program read any kernel memory.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY | BPF_F_NO_PREALLOC);
	__uint(max_entries, 4 * LOCAL_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, struct local_end);
} local_ends SEC(".maps");

/*
 * Local applications' sockets, and the gateway's own ends of connections that bypass TCP, by cookie. The
 * sk_msg program is attached to this map; `direct` and `bypass` redirect into it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 2 * LOCAL_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, __u64);
} local_sockets SEC(".maps");

/* One socket of the gateway that is shut down: redirecting into it fails (bypass_refuse()). */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} local_closed SEC(".maps");

/* Cookies of the gateway's sockets that are about to connect. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LOCAL_EXPECTED_MAX);
	__type(key, __u64);
	__type(value, __u32);
} local_announced SEC(".maps");

/* Cookies of sockets that connect to a listener of the gateway -> who called connect(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LOCAL_EXPECTED_MAX);
	__type(key, __u64);
	__type(value, struct local_client);
} local_connecting SEC(".maps");

/* Addresses at which a server of this host was seen to wait in recv(): its later sockets stay with TCP. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LOCAL_LISTENERS_MAX);
	__type(key, struct local_listener);
	__type(value, __u32);
} local_blocking SEC(".maps");

/*
 * Executables that connected with a non-blocking descriptor and were seen to wait in recv() of it: their
 * later sockets stay with TCP.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LOCAL_EXECUTABLES_MAX);
	__type(key, struct local_executable);
	__type(value, __u32);
} local_executables SEC(".maps");

/* Addresses of the gateway's listeners -> flags that only user space uses. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LOCAL_LISTENERS_MAX);
	__type(key, struct local_listener);
	__type(value, __u32);
} local_listeners SEC(".maps");

/* ... and the target's write_seq then: both advance, apart by the backlog */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LOCAL_EXPECTED_MAX);
	__type(key, struct local_connection);
	__type(value, struct local_expected);
} local_expected SEC(".maps");

/* enum local_reason -> how often `direct` fell back to TCP. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOCAL_REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} local_falls SEC(".maps");

/* The same for bypassed connections. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOCAL_REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} bypass_falls SEC(".maps");
