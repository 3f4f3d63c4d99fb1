/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/*
 * The maps of the sockmap lane. gates, sources and targets share one index space: the slot of a socket. The
 * sizes are those of bpf/abi.h unless the loader sets others.
 */
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

/* The records, mapped into user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SOCKMAP_SLOTS_DEFAULT);
	__type(key, __u32);
	__type(value, struct sockmap_record);
} gates SEC(".maps");

/* Socket cookie -> slot of the source. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SOCKMAP_SLOTS_DEFAULT);
	__type(key, __u64);
	__type(value, struct sockmap_handle);
} gate_of SEC(".maps");

/* Sockets whose received bytes the verdict sees; the program is attached to this map. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, SOCKMAP_SLOTS_DEFAULT);
	__type(key, __u32);
	__type(value, __u64);
} sources SEC(".maps");

/*
 * Sockets that may be the target of redirects. No program is attached: being a target does not change how a
 * socket receives.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, SOCKMAP_SLOTS_DEFAULT);
	__type(key, __u32);
	__type(value, __u64);
} targets SEC(".maps");

struct sockmap_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SOCKMAP_RING_BYTES);
};

/* Worker -> its ring of struct sockmap_event. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SOCKMAP_WORKERS_MAX);
	__type(key, __u32);
	__array(values, struct sockmap_ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SOCKMAP_WORKERS_MAX);
	__type(key, __u32);
	__type(value, struct sockmap_worker_record);
} workers SEC(".maps");

/*
 * Ring -> a socket of the process that reads the ring. The kernel removes the socket when that process ends,
 * for any reason and in any namespace; so a missing entry means a free ring. The programs do not use this
 * map.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, SOCKMAP_WORKERS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} readers SEC(".maps");

/* enum sockmap_reason -> number of closings, for the metrics. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SOCKMAP_REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} closings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sockmap_info);
} sockmap_info SEC(".maps");
