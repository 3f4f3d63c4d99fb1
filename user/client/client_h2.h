/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/relay/h2_link.h"

/*
 * What a client connection has more when it speaks HTTP/2: the link, and how many streams run on it. Each
 * request is a struct stream with downstream_codec_h2.
 *
 * A graceful shutdown has two steps (RFC 9113 6.8): a GOAWAY without a limit, and LIMIT_H2_GOAWAY_MS later,
 * when requests on their way have arrived, one that names the last. Then the streams are finished, and the
 * connection closes with its last one. Without a stream both steps are one.
 */
struct client_h2 {
	struct h2_link link;
	struct client *client; /* borrowed */
	/* Also of those that are over for the session, and still hand their request on. */
	uint32_t stream_count;
	uint32_t max_streams; /* that the client was told */
	bool is_announced; /* the first GOAWAY went out */
	bool is_refusing; /* the second */
	enum end_reason end_reason; /* of the graceful shutdown */
	uint64_t refuse_ms;
	uint64_t idle_timeout_ms; /* 0: off */
	uint64_t idle_deadline_ms; /* without streams; 0: none */
	uint64_t head_timeout_ms; /* 0: off */
	uint64_t head_deadline_ms; /* of the header section that has begun; 0: none */
	uint64_t open_section; /* its number */
	bool is_counted; /* why it ends was counted by its streams */
	bool is_head_late;
	uint64_t seen_pings;
	uint64_t acked_bytes; /* at the last look, while the connection ends */
};

/* The preface of an HTTP/2 client (RFC 9113 3.4) read as an HTTP/1 head: its first 18 bytes. */
bool client_h2_is_preface(struct span head);
/*
 * The connection is one of HTTP/2 from its first byte on; `head` is what was taken of it, conn.in the rest.
 */
void client_h2_start(struct client *client, struct span head);
/* When the timer of the state is due, loop time; 0: never. */
uint64_t client_h2_due_ms(const struct client_h2 *h2);
void client_h2_on_timer(struct client *client, uint64_t now_ms);
/* No new requests: idle connections close, others after their streams. Idempotent. */
void client_h2_end(struct client *client, enum end_reason reason);
/*
 * While the connection ends: there is more for the client, and it has taken some since the last call. Closing
 * then would cut its last answer: whoever reads over HTTP/2 also writes, and that meets a closed socket.
 */
bool client_h2_is_reading(struct client *client);
/* A stream of it is over. */
void client_h2_stream_over(struct client *client);
/* Whether streams count why the connection ends. h2: NULL: none. */
static inline bool client_h2_counts(const struct client_h2 *h2)
{
	return h2 && (h2->is_counted || h2->stream_count);
}
/* The connection is over, and with it every stream. Nothing is called any more. Idempotent. */
void client_h2_finish_streams(struct client *client, enum end_reason reason);
void client_h2_free(struct client_h2 *h2); /* NULL is fine */
