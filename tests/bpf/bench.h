/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the benchmarks share: three processes (clients, gateway, servers) that report through shared memory.
 * Ping-pong: 64 connections, one message under way on each. One way: one connection, as fast as it goes.
 * Whole-machine CPU from /proc/stat, because the kernel lanes' work is done by kernel workers and soft
 * interrupts that belong to nobody.
 *
 *     bench_... [seconds] [rounds] [work] [lane]      work: 0 64 B, 1 16 KiB, 2 one way; none: all of them
 */

#define STREAMS_MAX 64

struct bench_shared {
	_Atomic int is_stopping;
	_Atomic uint64_t messages;
	_Atomic uint64_t bytes;
	_Atomic uint64_t wakeups; /* of the gateway */
	_Atomic uint64_t carried, copied; /* bytes, by the gateway when it stops */
};

extern struct bench_shared *shared; /* mapped by bench_main() */

/* The gateways of one program. Lane 0 has none: client and server are connected to each other. */
struct bench {
	const char *const *lane_names; /* NULL at the end */
	const char *share_name; /* of `carried` */
	bool (*is_possible)(int lane);
	void (*open)(int streams, int lane, int *ret_clients, int *ret_servers);
	void (*run)(int streams, int lane); /* the gateway, in a process of its own, until is_stopping */
	void (*close)(int streams, int lane); /* what open() opened, but clients and servers */
};

int bench_main(const struct bench *bench, int argc, char **argv);

void check_call(bool ok, const char *what); /* or exit */
