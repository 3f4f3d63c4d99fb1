/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/giver.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/gateway/gateway.h"
#include "user/net/socket.h"
#include "user/restart/stream/quiesce.h"

/* So many may be on their way: descriptors that are, are counted by the kernel (unix(7), ETOOMANYREFS). */
enum { GIVER_WINDOW = 256 };

struct giver_item {
	struct list node;
	struct given *given; /* owner */
};

static struct estate *estate_of(const struct giver *giver)
{
	return giver->gateway->succession.estate;
}

static bool is_open(const struct giver *giver)
{
	return giver->source.fd >= 0;
}

/* ------------------------------------------------------------------------------------ items */

static void item_free(struct giver_item *item)
{
	hg_free(item->given);
	hg_free(item);
}

/* Whoever has duplicates goes on with them. */
static void item_close(struct giver_item *item)
{
	socket_close(item->given->item.client_fd);
	socket_close(item->given->item.backend_fd);
	item_free(item);
}

static void given_reset(struct giver *giver, struct given *given)
{
	giver->lost_streams += given->item.kind == HANDOVER_STREAM;
	socket_reset(given->item.client_fd);
	socket_reset(given->item.backend_fd);
}

static void item_reset(struct giver *giver, struct giver_item *item)
{
	given_reset(giver, item->given);
	item_free(item);
}

/* As if a gateway had left it. */
static int give_back(struct giver *giver, struct given *given)
{
	struct gateway *gateway = giver->gateway;
	struct handover_item *item = &given->item;
	bool is_stream = item->kind == HANDOVER_STREAM;
	struct address local;
	int error = socket_local(item->client_fd, &local);

	if (!error && is_stream) {
		item->row.is_refused = true;
		error = handover_write_row(estate_of(giver), item);
	}
	if (!error && given->worker >= gateway->worker_count)
		error = -ESHUTDOWN;
	if (!error)
		error = worker_adopt(gateway->workers[given->worker], item->client_fd, address_port(&local),
				     is_stream, NULL, NULL);
	if (!error)
		giver->kept_streams += is_stream;
	return error;
}

static void item_back(struct giver *giver, struct giver_item *item)
{
	if (give_back(giver, item->given) < 0)
		given_reset(giver, item->given);
	item_free(item);
}

static struct giver_item *pop(struct list *list)
{
	return list_is_empty(list) ? NULL : list_entry(list_pop(list), struct giver_item, node);
}

/* ------------------------------------------------------------------------------------ the channel */

static void giver_close(struct giver *giver)
{
	loop_source_remove(giver->gateway->loop, &giver->source);
	socket_close(giver->source.fd);
	giver->source.fd = -1;
	estate_of(giver)->heir_fd = -1;
}

/* The other one is gone. What it was not told of is ours; of the rest nobody knows what became. */
static void giver_fail(struct giver *giver, const char *why)
{
	struct giver_item *item;

	log_warn("upgrade: the program that takes over takes nothing more (%s): %u connections that were on "
		 "their way to it are reset, the others stay",
		 why, giver->sent_count);
	giver_close(giver);
	gateway_tell_workers(giver->gateway, WORKER_KEEP);
	while ((item = pop(&giver->sent)) != NULL)
		item_reset(giver, item);
	giver->sent_count = 0;
	while ((item = pop(&giver->waiting)) != NULL)
		item_back(giver, item);
}

static void giver_send(struct giver *giver)
{
	while (is_open(giver) && !list_is_empty(&giver->waiting) && giver->sent_count < GIVER_WINDOW) {
		struct giver_item *item = list_entry(giver->waiting.next, struct giver_item, node);
		int error = handover_send(giver->source.fd, &item->given->item);

		if (error == -EAGAIN)
			return;
		if (error) {
			giver_fail(giver, strerrordesc_np(-error));
			return;
		}
		list_remove(&item->node);
		list_add_tail(&giver->sent, &item->node);
		giver->sent_count++;
	}
}

static void giver_take_answer(struct giver *giver, const struct handover_answer *answer)
{
	list_each(node, next, &giver->sent) {
		struct giver_item *item = list_entry(node, struct giver_item, node);

		if (item->given->item.number != answer->number)
			continue;
		list_remove(&item->node);
		giver->sent_count--;
		if (answer->is_taken && item->given->item.kind == HANDOVER_STREAM)
			giver->given_streams++;
		else if (answer->is_taken)
			giver->given_clients++;
		/* A client that is idle there, too, has nothing to lose. */
		if (answer->is_taken || item->given->item.kind == HANDOVER_CLIENT)
			item_close(item);
		else
			item_back(giver, item);
		return;
	}
}

static void giver_on_event(struct loop_source *source, uint32_t events)
{
	struct giver *giver = container_of(source, struct giver, source);
	struct handover_answer answer;
	int result = 1;

	(void)events;
	while (is_open(giver) && (result = handover_hear_answer(source->fd, &answer)) == 1)
		giver_take_answer(giver, &answer);
	if (is_open(giver) && result != -EAGAIN)
		giver_fail(giver, result ? strerrordesc_np(-result) : "it has ended");
	giver_send(giver);
}

/* ------------------------------------------------------------------------------------ life */

void giver_init(struct giver *giver, struct gateway *gateway)
{
	*giver = (struct giver){ .gateway = gateway };
	loop_source_init(&giver->source, -1, giver_on_event);
	list_init(&giver->waiting);
	list_init(&giver->sent);
}

bool giver_start(struct giver *giver)
{
	struct estate *estate = estate_of(giver);
	int fd = estate ? estate->heir_fd : -1;
	int error;

	if (fd < 0)
		return false;
	error = handover_hear_hello(fd);
	loop_source_init(&giver->source, fd, giver_on_event);
	if (!error)
		error = loop_source_add(giver->gateway->loop, &giver->source,
					EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (!error)
		return true;
	log_info("upgrade: streams stay here until they end: the other program %s",
		 error == -EAGAIN	     ? "is of a version that takes over none"
		 : error == -EPROTONOSUPPORT ? "is of a version that keeps other records of them"
					     : strerrordesc_np(-error));
	giver_close(giver);
	return false;
}

void giver_on_given(struct message *message, void *context)
{
	struct given *given = container_of(message, struct given, message);
	struct giver *giver = &((struct gateway *)context)->giver;
	struct giver_item *item = is_open(giver) ? hg_malloc(sizeof(*item)) : NULL;

	if (!item) {
		if (give_back(giver, given) < 0)
			given_reset(giver, given);
		hg_free(given);
		return;
	}
	given->item.number = ++giver->numbers;
	item->given = given;
	list_add_tail(&giver->waiting, &item->node);
	giver_send(giver);
}

bool giver_is_done(const struct giver *giver)
{
	return list_is_empty(&giver->waiting) && list_is_empty(&giver->sent);
}

void giver_stop(struct giver *giver)
{
	struct giver_item *item;

	if (!giver->numbers && !is_open(giver))
		return;
	while ((item = pop(&giver->sent)) != NULL || (item = pop(&giver->waiting)) != NULL)
		item_reset(giver, item);
	if (is_open(giver))
		giver_close(giver);
	log_info("upgrade: %llu idle clients and %llu streams were handed over, %llu streams came back, "
		 "%llu were lost",
		 (unsigned long long)giver->given_clients, (unsigned long long)giver->given_streams,
		 (unsigned long long)giver->kept_streams, (unsigned long long)giver->lost_streams);
	giver->numbers = 0;
}
