/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/taker.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/gateway/gateway.h"
#include "user/restart/handoff_channel.h"
#include "user/net/socket.h"

enum { TAKER_TURN_ITEMS = 64 };

struct taking {
	struct taker *taker;
	uint64_t number;
	bool is_stream;
};

static struct estate *estate_of(const struct taker *taker)
{
	return taker->gateway->succession.estate;
}

static void taker_end(struct taker *taker, const char *why)
{
	if (taker->source.fd < 0)
		return;
	log_info("upgrade: %llu idle clients and %llu streams of the program before go on here, %llu were "
		 "refused%s%s",
		 (unsigned long long)taker->taken_clients, (unsigned long long)taker->taken_streams,
		 (unsigned long long)taker->refused, why ? ": " : "", why ? why : "");
	loop_source_remove(taker->gateway->loop, &taker->source);
	socket_close(taker->source.fd);
	taker->source.fd = -1;
	estate_of(taker)->elder_fd = -1;
}

static void answer(struct taker *taker, uint64_t number, bool is_taken)
{
	struct handover_answer answer = { .number = number, .is_taken = is_taken };
	int error;

	taker->refused += !is_taken;
	if (taker->source.fd < 0)
		return;
	/* There is room: the other one waits when it has many answers to get. */
	error = handover_answer(taker->source.fd, &answer);
	if (error)
		taker_end(taker, strerrordesc_np(-error));
}

static void on_adopted(void *argument, bool is_taken)
{
	struct taking *taking = argument;
	struct taker *taker = taking->taker;

	if (is_taken && taking->is_stream)
		taker->taken_streams++;
	else if (is_taken)
		taker->taken_clients++;
	estate_of(taker)->clients_adopted += is_taken && !taking->is_stream;
	answer(taker, taking->number, is_taken);
	hg_free(taking);
}

/* 0, then both descriptors are the worker's, or -errno. */
static int hand_on(struct taker *taker, const struct handover_item *item)
{
	struct gateway *gateway = taker->gateway;
	struct worker *worker = gateway->workers[taker->next_worker++ % gateway->worker_count];
	bool is_stream = item->kind == HANDOVER_STREAM;
	struct taking *taking;
	struct address local;
	int error = socket_local(item->client_fd, &local);

	if (!error && is_stream)
		error = handover_write_row(estate_of(taker), item);
	if (error)
		return error;
	taking = hg_malloc(sizeof(*taking));
	if (!taking)
		return -ENOMEM;
	*taking = (struct taking){ taker, item->number, is_stream };
	error = worker_adopt(worker, item->client_fd, address_port(&local), is_stream, on_adopted, taking);
	if (error)
		hg_free(taking);
	return error;
}

static void take(struct taker *taker, const struct handover_item *item)
{
	if (hand_on(taker, item) == 0)
		return;
	estate_mark(estate_of(taker), item->client_fd, ESTATE_MARK_NONE);
	estate_mark(estate_of(taker), item->backend_fd, ESTATE_MARK_NONE);
	/* The other one has them as well. */
	socket_close(item->client_fd);
	socket_close(item->backend_fd);
	answer(taker, item->number, false);
}

static void taker_on_event(struct loop_source *source, uint32_t events)
{
	struct taker *taker = container_of(source, struct taker, source);
	struct handover_item item;

	(void)events;
	for (int count = 0; count < TAKER_TURN_ITEMS && source->fd >= 0; count++) {
		int result = handover_receive(source->fd, &item);

		if (result == -EAGAIN)
			return;
		if (result == 1)
			take(taker, &item);
		else if (result == -EBADMSG && item.number)
			answer(taker, item.number, false);
		else
			taker_end(taker, result ? strerrordesc_np(-result) : NULL);
	}
}

void taker_init(struct taker *taker, struct gateway *gateway)
{
	*taker = (struct taker){ .gateway = gateway };
	loop_source_init(&taker->source, -1, taker_on_event);
}

void taker_start(struct taker *taker)
{
	struct estate *estate = estate_of(taker);
	int fd = estate ? estate->elder_fd : -1;
	int error;

	if (fd < 0)
		return;
	loop_source_init(&taker->source, fd, taker_on_event);
	error = loop_source_add(taker->gateway->loop, &taker->source, EPOLLIN | EPOLLRDHUP);
	if (!error)
		error = handover_say_hello(fd);
	if (error)
		taker_end(taker, strerrordesc_np(-error));
}

void taker_stop(struct taker *taker)
{
	taker_end(taker, NULL);
}
