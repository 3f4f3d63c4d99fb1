/* SPDX-License-Identifier: Apache-2.0 */
#include "user/health/tcp_check_client.h"

#include <string.h>

#include "user/base/limits.h"

void tcp_check_client_stop(struct tcp_check_client *client)
{
	/* Nothing was exchanged, so a reset loses nothing, and leaves no port in TIME_WAIT at either side. */
	bool is_bare = !client->options.tls && !client->send.len && !client->receive.len &&
		       !client->options.endpoint->proxy_header.len;

	client->is_over = true;
	timer_cancel(loop_timers(client->pool->loop), &client->timer);
	loop_deferred_cancel(&client->again);
	if (client->dial.state != DIAL_IDLE)
		dial_cancel(&client->dial);
	if (client->upstream)
		upstream_close(client->upstream, is_bare);
	client->upstream = NULL;
}

void tcp_check_client_done(struct tcp_check_client *client)
{
	buf_done(&client->received);
}

/* Calls the owner last, because it may free borrowed objects. */
static void client_end(struct tcp_check_client *client, struct span why, int error)
{
	if (client->is_over)
		return;
	tcp_check_client_stop(client);
	client->on_end(client, why, error);
}

/* Returns false if no more is wanted. */
static bool client_keep(struct tcp_check_client *client, struct span bytes)
{
	size_t left = LIMIT_HEALTH_RESPONSE_BYTES - buf_len(&client->received);

	return buf_append(&client->received, span_first(bytes, left), LIMIT_HEALTH_RESPONSE_BYTES) == 0 &&
	       buf_len(&client->received) < LIMIT_HEALTH_RESPONSE_BYTES;
}

static bool client_has_received(const struct tcp_check_client *client)
{
	struct span in = buf_span(&client->received);

	return in.len >= client->receive.len &&
	       memmem(in.data, in.len, client->receive.data, client->receive.len) != NULL;
}

static void client_read(struct tcp_check_client *client)
{
	char *scratch = client->pool->relay->scratch;
	bool wants_more = true;

	while (wants_more) {
		ssize_t len = conn_recv(&client->upstream->conn, scratch, LIMIT_READ_BYTES);

		if (len == -EAGAIN)
			return;
		if (len <= 0) {
			client_end(client, SPAN("the connection ended before the expected bytes"), (int)len);
			return;
		}
		wants_more = client_keep(client, span_of(scratch, (size_t)len));
		if (client_has_received(client)) {
			client_end(client, SPAN(""), 0);
			return;
		}
	}
	client_end(client, SPAN("the expected bytes did not come"), 0);
}

static void client_pump(void *owner)
{
	struct tcp_check_client *client = owner;
	struct conn *conn = &client->upstream->conn;
	int error = conn_flush(conn);

	if (error)
		client_end(client, SPAN("the connection ended"), error);
	else if (client->receive.len)
		client_read(client);
	else if (!conn_has_output(conn))
		client_end(client, SPAN(""), 0);
}

static void client_on_dialed(struct dial *dial, enum dial_result result, int error, struct upstream *upstream)
{
	struct tcp_check_client *client = container_of(dial, struct tcp_check_client, dial);

	dial_cancel(dial);
	if (result != DIAL_DONE) {
		client_end(client, dial_result_text(result), error);
		return;
	}
	client->upstream = upstream;
	upstream_attach(upstream, client, client_pump);
	if (buf_append(&upstream->conn.out, client->send, BUF_MAX_BYTES) < 0)
		client_end(client, SPAN("no memory"), -ENOMEM);
	else
		client_pump(client);
}

static void client_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct tcp_check_client *client = container_of(timer, struct tcp_check_client, timer);

	(void)now_ms;
	if (!client->upstream)
		dial_expire(&client->dial);
	client_end(client,
		   client->upstream ? SPAN("the expected bytes did not come in time")
				    : dial_result_text(DIAL_TIMEOUT),
		   0);
}

static void client_on_again(struct loop_deferred *deferred)
{
	struct tcp_check_client *client = container_of(deferred, struct tcp_check_client, again);

	client_end(client, client->failed, 0);
}

void tcp_check_client_init(struct tcp_check_client *client, struct upstream_pool *pool)
{
	*client = (struct tcp_check_client){ .pool = pool };
	buf_init(&client->received);
	timer_init(&client->timer, client_on_timer);
	loop_deferred_init(&client->again, client_on_again);
}

void tcp_check_client_start(struct tcp_check_client *client)
{
	enum dial_result result;
	int error;

	timer_arm(loop_timers(client->pool->loop), &client->timer, client->options.deadline_ms);
	dial_init(&client->dial, client->pool, &client->options, client_on_dialed);
	result = dial_start(&client->dial, &error);
	if (result == DIAL_UNDER_WAY)
		return;
	client->failed = dial_result_text(result);
	loop_again(client->pool->loop, &client->again);
}
