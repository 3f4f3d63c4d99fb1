/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: two buffers, a timer, and the step function for its current mode (HTTP, WebSocket, raw
 * echo, closing). epoll is edge triggered, so is_readable and is_writable keep the reported state until a
 * call returns EAGAIN; a connection that stops reading because its buffer is full makes no system call.
 * conn_run is the only loop: read, step, write, until none of the three makes progress or the turn's budget
 * is used up.
 */
#ifndef HTTPBIN_CONN_H
#define HTTPBIN_CONN_H

#include "tests/origin/body.h"
#include "tests/origin/request.h"
#include "tests/origin/text.h"

#define CONN_IN_BYTES (64u * 1024u)
/* Producers stop when this much output is queued. */
#define CONN_OUT_HIGH (64u * 1024u)
#define CONN_STATE_WORDS 24
#define CONN_LINGER_MS 2000u
#define NS_PER_MS 1000000u
#define TIMERS_NONE SIZE_MAX

struct worker;
struct endpoint;
struct conn;

/* Does what is possible now. True if input was taken, output made or the state changed. */
typedef bool conn_step_fn(struct conn *conn);

enum conn_ending {
	END_GRACEFUL, /* send everything, FIN, read on until the peer's FIN; in HTTP mode at most
			 CONN_LINGER_MS */
	END_FIN, /* send everything, close at once */
	END_RST, /* send everything, wait end_delay_ms so that it arrives, reset */
};

/* One HTTP request and its response. */
struct exchange {
	struct request request; /* borrows from conn->in, whose head does not move until the exchange ends */
	struct body body;
	const struct endpoint *endpoint;
	uint64_t serial; /* number of the request on its connection, from 1 */
	bool is_active;
	bool is_started; /* the start function of the endpoint was called */
	bool is_answered; /* the last byte of the response was written to out */
	bool is_chunked; /* the response is chunked */
	bool is_kept; /* the connection stays open after the response */
	struct buffer stash; /* owner; body bytes that the endpoint stores */
	uint64_t due_ns; /* for the endpoint's own timing */
	union {
		uint64_t words[CONN_STATE_WORDS]; /* zero when the endpoint starts */
		void *align;
	} state;
};

struct conn {
	struct worker *worker; /* borrowed */
	int fd;
	conn_step_fn *step;
	struct buffer in; /* owner */
	size_t in_floor; /* bytes at the front of in that must not move */
	size_t in_scanned; /* bytes of the head that were scanned, from in.start */
	struct buffer out; /* owner */
	uint64_t pattern_offset;
	uint64_t pattern_left; /* pattern bytes to send after `out` */
	uint64_t sent_bytes;
	uint64_t deadline_ns; /* 0: none */
	uint64_t timer_key_ns;
	size_t timer_index; /* in the worker's heap; TIMERS_NONE: not in it */
	uint64_t serial; /* number of the connection in the process, from 1 */
	uint64_t idle_since_ns;
	struct exchange exchange;
	enum conn_ending ending;
	uint64_t end_delay_ms;
	struct conn *next; /* in the free, dead or ready list */
	bool is_readable;
	bool is_writable;
	bool has_rdhup; /* the peer's FIN has arrived, after unread bytes */
	bool in_eof; /* the FIN was read */
	bool is_out_shut;
	bool is_closed;
	bool is_ready; /* in the ready list */
};

/* The connection's endpoint state as its own struct; the struct must fit in CONN_STATE_WORDS. */
#define CONN_STATE(conn, type)                                                                               \
	({                                                                                                   \
		_Static_assert(sizeof(type) <= sizeof((conn)->exchange.state), "state too large");           \
		(type *)(void *)&(conn)->exchange.state;                                                     \
	})

/* Takes fd. NULL without memory (fd is then closed). */
struct conn *conn_create(struct worker *worker, int fd, conn_step_fn *step);
void conn_run(struct conn *conn);
/* Wakes conn_run at this time of the worker's clock; 0 cancels. */
void conn_wake_at(struct conn *conn, uint64_t when_ns);

struct text conn_input(const struct conn *conn);
void conn_take(struct conn *conn, size_t size);
bool conn_out_has_capacity(const struct conn *conn);
bool conn_out_is_empty(const struct conn *conn);
/* Queues pattern bytes after all queued output. Queue nothing else until they are sent. */
void conn_send_pattern(struct conn *conn, uint64_t offset, uint64_t size);

/* Sends the queued output, then ends. The connection produces and reads nothing more. */
void conn_end(struct conn *conn, enum conn_ending ending, uint64_t delay_ms);
/* Ends at once. The struct lives until the end of the turn. */
void conn_close(struct conn *conn);
void conn_reset(struct conn *conn);
/* Frees a closed connection. */
void conn_free(struct conn *conn);

#endif
