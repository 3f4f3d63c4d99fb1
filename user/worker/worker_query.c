/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/mem.h"
#include "user/driver/driver.h"
#include "user/worker/worker_internal.h"

/* What the main thread asks of a worker. Each message goes there; where an answer is wanted it comes back. */

/* ------------------------------------------------------------------------------------ connections */

struct client_message {
	struct message message;
	int fd; /* owner */
	struct address local;
	bool is_stream;
};

static void worker_on_client(struct message *message, void *context)
{
	struct client_message *client = container_of(message, struct client_message, message);
	struct worker *worker = context;

	if (client->is_stream)
		worker_ports_resume_stream(&worker->ports, &client->local, client->fd);
	else
		worker_ports_take_over(&worker->ports, &client->local, client->fd);
	atomic_fetch_sub(&worker->proxy.shared->resumptions_left, 1);
	hg_free(client);
}

int worker_take_over(struct worker *worker, int fd, const struct address *local, bool is_stream)
{
	struct client_message *message = hg_calloc(1, sizeof(*message));

	if (!message)
		return -ENOMEM;
	message->message.run = worker_on_client;
	message->fd = fd;
	message->local = *local;
	address_unmap(&message->local);
	message->is_stream = is_stream;
	atomic_fetch_add(&worker->proxy.shared->resumptions_left, 1);
	mailbox_send(worker->mailbox, &message->message);
	return 0;
}

/* ------------------------------------------------------------------------------------ streams */

struct list_message {
	struct message message;
	struct worker *worker;
	const struct stream_query *query; /* borrowed */
	struct stream_list list;
	void (*done)(void *argument, struct stream_list *list);
	void *argument;
};

static void owner_on_list(struct message *message, void *context)
{
	struct list_message *query = container_of(message, struct list_message, message);

	(void)context;
	query->done(query->argument, &query->list);
	hg_free(query);
}

static void worker_on_list(struct message *message, void *context)
{
	struct list_message *query = container_of(message, struct list_message, message);
	struct worker *worker = context;

	/* Without memory the list stays empty: an operator's view must not cause a failure. */
	if (query->query->is_history)
		stream_view_history(&worker->proxy, query->query, &query->list);
	else
		stream_view_running(&worker->proxy, query->query, &query->list);
	query->message.run = owner_on_list;
	mailbox_send(worker->owner, &query->message);
}

struct close_message {
	struct message message;
	uint64_t id;
	bool found;
	void (*done)(void *argument, bool found);
	void *argument;
};

static void owner_on_close(struct message *message, void *context)
{
	struct close_message *query = container_of(message, struct close_message, message);

	(void)context;
	query->done(query->argument, query->found);
	hg_free(query);
}

static void worker_on_close_stream(struct message *message, void *context)
{
	struct close_message *query = container_of(message, struct close_message, message);
	struct worker *worker = context;
	uint32_t cursor = 0;
	uint64_t handle;
	struct stream *stream;

	while ((stream = slab_next(worker->proxy.streams, &cursor, &handle)) != NULL) {
		if (stream->id != query->id || stream->state == STREAM_CLOSED)
			continue;
		query->found = true;
		driver_abort(stream, END_ADMIN_KILL);
		break;
	}
	query->message.run = owner_on_close;
	mailbox_send(worker->owner, &query->message);
}

int worker_list_streams(struct worker *worker, const struct stream_query *wanted,
			void (*done)(void *argument, struct stream_list *list), void *argument)
{
	struct list_message *query = hg_calloc(1, sizeof(*query));

	if (!query)
		return -ENOMEM;
	query->message.run = worker_on_list;
	query->query = wanted;
	query->done = done;
	query->argument = argument;
	mailbox_send(worker->mailbox, &query->message);
	return 0;
}

int worker_close_stream(struct worker *worker, uint64_t id, void (*done)(void *argument, bool found),
			void *argument)
{
	struct close_message *query = hg_calloc(1, sizeof(*query));

	if (!query)
		return -ENOMEM;
	query->message.run = worker_on_close_stream;
	query->id = id;
	query->done = done;
	query->argument = argument;
	mailbox_send(worker->mailbox, &query->message);
	return 0;
}
