/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A name server for unit tests, in a thread of its own, on a UDP port of 127.0.0.1. It says the same of every
 * name, "missing" has no address, and has no IPv6. Fields are changed by name_server_set() while it runs.
 */
enum { NAME_SERVER_HELD = 4096 };

struct name_server {
	char address[24]; /* for struct resolver_options */
	uint32_t network; /* of the addresses it gives: 10.0.0.0 */
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_held; /* answers wait for name_server_set(false) */
	int result; /* 0, -ENOENT, -EAGAIN (it fails), -EIO (it answers nonsense) */
	uint32_t count; /* of addresses */
	uint8_t first; /* last byte of the first address */
	unsigned int asked; /* names, that is questions for IPv4 */
	uint32_t held_count;
	struct name_question {
		struct sockaddr_in peer;
		uint16_t len;
		uint8_t bytes[300];
	} * held;
};

void name_server_start(struct name_server *server);
void name_server_stop(struct name_server *server);
void name_server_set(struct name_server *server, bool is_held, int result, uint32_t count, uint8_t first);
unsigned int name_server_asked(struct name_server *server);
/* Until so many names have been asked for and not answered. */
void name_server_wait_held(struct name_server *server, unsigned int count);
